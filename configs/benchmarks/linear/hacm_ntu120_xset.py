# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/ntu120_xset_crop72.py',
    '../../_base_/models/hacm_encoder.py',
    '../../_base_/models/linear_probe.py',
    '../../_base_/schedules/linear_100e.py'
]
model = dict(
    backbone=_base_.encoder,
    cls_head=dict(num_classes=_base_.classes, norm_eps=1e-6))
train_dataloader = dict(batch_size=256)
