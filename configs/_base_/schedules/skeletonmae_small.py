# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A few minutes on a CPU.
_base_ = 'skeletonmae_50e.py'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=50)
auto_scale_lr = dict(base_batch_size=32)
