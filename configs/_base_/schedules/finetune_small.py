# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# For a thousand clips, chosen on held-out subjects (docs/benchmark.md).
_base_ = 'finetune_100e.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(warmup=6, total=160, eta_min_ratio=0.01)
train_cfg = dict(max_epochs=160, val_interval=160)
auto_scale_lr = dict(base_batch_size=32)
