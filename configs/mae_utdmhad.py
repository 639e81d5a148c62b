# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/utdmhad.py',
    '_base_/models/mae_small.py', '_base_/schedules/mamp_small.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)

# About as many steps as on NW-UCLA, of fewer clips.
param_scheduler = dict(warmup=18, total=220)
train_cfg = dict(max_epochs=220)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
