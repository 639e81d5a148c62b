# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/utdmhad.py',
    '_base_/models/skeletonmae_kinect20.py',
    '_base_/schedules/skeletonmae_small.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)
# About as many steps as on NW-UCLA, of fewer clips.
train_cfg = dict(max_epochs=110)

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
