# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The SSL recognizer: three STRL blocks, each with an encoder of SkeletonMAE.
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(
        type='STRL',
        layout='coco17',
        in_channels=2,
        num_frames=64,
        embed_dims=64,
        encoder=dict(hidden_dims=64, depth=3),
        widths=(64, 64, 64)),
    cls_head=dict(
        type='GCNHead', num_classes=60, in_channels=64, label_smooth_eps=0.1))
