# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Supervised from random weights; tiny, and a short schedule, for a first look.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/demo.py',
    '../../_base_/models/stgcnpp_small.py',
    '../../_base_/schedules/stgcnpp_small.py'
]
model = dict(
    backbone=dict(
        graph_cfg=dict(layout='nturgb+d'),
        base_channels=16,
        num_stages=4,
        inflate_stages=[2, 4],
        down_stages=[2, 4]),
    cls_head=dict(num_classes=_base_.classes, in_channels=64))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        T_max=4,
        by_epoch=True,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=4, val_interval=4)
