# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/ntu120_xsub_crop120.py',
    '_base_/models/mamp.py', '_base_/schedules/mamp_400e.py'
]
model = dict(neck=dict(depth=5))
_base_.mask.tau = 0.75
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)
train_dataloader = dict(drop_last=True)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
