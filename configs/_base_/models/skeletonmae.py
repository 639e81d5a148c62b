# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Graph-based SkeletonMAE (ICCV 2023): every frame of a person is a graph;
# right arm and right leg are hidden, and predicted as they were embedded.
_base_ = 'skeletonmae_encoder.py'
model = dict(
    type='GraphSkeletonMAE',
    backbone=dict(_base_.encoder, dropout=0.2),
    neck=dict(type='GINDecoder', layout='coco17', in_dims=64, out_dims=64),
    target=dict(type='JointTarget', source='embed'),
    head=dict(type='CosineErrorHead', beta=2.))
mask = dict(type='BodyPartMask', layout='coco17', mask_parts=(3, 5))
