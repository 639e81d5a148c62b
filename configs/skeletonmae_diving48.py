# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/diving48_2d.py',
    '_base_/models/skeletonmae.py', '_base_/schedules/skeletonmae_50e.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)
train_dataloader = dict(batch_size=1024)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
