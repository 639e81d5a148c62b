# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# An encoder (give it as model.backbone) that is fine-tuned under the head of
# the linear probe.
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(drop_path_rate=0.3),
    cls_head=dict(
        type='LinearProbeHead',
        num_classes=60,
        in_channels=256,
        readout='mean',
        label_smooth_eps=0.1,
        average_clips='score'))
