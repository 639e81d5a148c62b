# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/nwucla.py',
    '../../_base_/models/strl_kinect20.py',
    '../../_base_/schedules/strl_small.py'
]
model = dict(
    backbone=dict(num_frames=32), cls_head=dict(num_classes=_base_.classes))
