# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/demo.py',
    '../../_base_/models/hacm_small_encoder.py',
    '../../_base_/models/linear_probe.py',
    '../../_base_/schedules/linear_100e.py'
]
model = dict(
    backbone=dict(_base_.encoder, layout='ntu25'),
    cls_head=dict(
        num_classes=_base_.classes, in_channels=_base_.encoder.embed_dims))
# The probe sees clips as they are; a short schedule.
train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=_base_.val_pipeline))
param_scheduler = dict(total=20)
train_cfg = dict(max_epochs=20, val_interval=20)
auto_scale_lr = dict(base_batch_size=128)
