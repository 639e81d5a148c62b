# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/ntu60_xsub_crop72.py',
    '_base_/models/hacm.py', '_base_/schedules/mamp_400e.py'
]
train_dataloader = dict(batch_size=64, drop_last=True)
param_scheduler = dict(total=500)
train_cfg = dict(max_epochs=500)
auto_scale_lr = dict(base_batch_size=64)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
