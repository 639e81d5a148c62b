# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/hacm_small_encoder.py',
    '../../_base_/models/linear_probe.py',
    '../../_base_/schedules/linear_100e.py'
]
model = dict(
    backbone=_base_.encoder,
    cls_head=dict(
        num_classes=_base_.classes, in_channels=_base_.encoder.embed_dims))
# The probe sees clips as they are, as tools/evaluate.py does.
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=_base_.val_pipeline))
