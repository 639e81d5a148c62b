# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A few minutes on a CPU.
_base_ = 'mamp_400e.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(warmup=8, total=100, eta_min_ratio=0.01)
train_cfg = dict(max_epochs=100)
auto_scale_lr = dict(base_batch_size=32)
