# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A frozen encoder (give it as model.backbone), batch norm and one linear map.
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(frozen=True),
    cls_head=dict(
        type='LinearProbeHead',
        num_classes=60,
        in_channels=256,
        readout='mean',
        average_clips='score'))
