# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/demo.py',
    '_base_/models/hacm_small.py', '_base_/schedules/mamp_small.py'
]
# 25 joints, 18 of them tokens.
model = dict(backbone=dict(layout='ntu25'), neck=dict(num_joints=18))

# A short schedule, with larger steps.
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = dict(warmup=2, total=40)
train_cfg = dict(max_epochs=40)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
