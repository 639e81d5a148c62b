# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/pkummd2_xsub.py',
    '../../_base_/models/skel2vec_encoder.py',
    '../../_base_/models/finetune.py',
    '../../_base_/schedules/skel2vec_finetune.py'
]
model = dict(
    backbone=_base_.encoder, cls_head=dict(num_classes=_base_.classes))
train_dataloader = dict(batch_size=48)
