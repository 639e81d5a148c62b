# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/finetune_hacm_small.py',
    '../../_base_/schedules/finetune_small.py'
]
model = dict(cls_head=dict(num_classes=_base_.classes))
# About as many steps as on NW-UCLA, of fewer clips.
param_scheduler = dict(warmup=14, total=360)
train_cfg = dict(max_epochs=360, val_interval=360)
