# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/ntu120_xset_crop72.py',
    '../../_base_/models/hacm_encoder.py',
    '../../_base_/models/finetune.py',
    '../../_base_/schedules/finetune_100e.py'
]
model = dict(
    backbone=_base_.encoder,
    cls_head=dict(
        num_classes=_base_.classes, num_joints=_base_.token_joints))
train_dataloader = dict(batch_size=48)
