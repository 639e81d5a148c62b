# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/strl_kinect20.py',
    '../../_base_/schedules/strl_small.py'
]
model = dict(
    backbone=dict(num_frames=32), cls_head=dict(num_classes=_base_.classes))
# About as many steps as on NW-UCLA, of fewer clips.
_base_.param_scheduler[1].update(milestones=[240, 300])
train_cfg = dict(max_epochs=360, val_interval=360)
