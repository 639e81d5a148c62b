# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# An encoder (give it as model.backbone) and the MAE family's MLP on top.
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(drop_path_rate=0.3),
    cls_head=dict(
        type='FineTuneHead',
        num_classes=60,
        in_channels=256,
        num_joints=25,
        hidden_channels=2048,
        dropout=0.3,
        label_smooth_eps=0.1,
        average_clips='score'))
