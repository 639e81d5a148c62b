# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A frozen encoder (give it as model.backbone) whose pooled features are put
# into the data samples, for metrics over features.
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(frozen=True),
    cls_head=dict(type='FeatureReadoutHead', readout='mean'))
