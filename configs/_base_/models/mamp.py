# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAMP (ICCV 2023): predict the motion of hidden tokens; tokens that move are
# hidden more often. NTU-120 and PKU-MMD have a decoder of depth 5.
_base_ = 'mamp_encoder.py'
model = dict(
    type='MaskedSkeletonModel',
    data_preprocessor=dict(
        type='PersonDataPreprocessor', skip_empty_persons=True),
    backbone=_base_.encoder,
    neck=dict(
        type='TransformerDecoder',
        num_segments=30,
        num_joints=25,
        in_dims=256,
        embed_dims=256,
        depth=3,
        num_heads=8,
        layer_scale=None,
        norm_eps=1e-5,
        init_cfg=_base_.encoder.init_cfg),
    target=dict(type='MotionTarget', patch_len=4, normalise='patch'),
    head=dict(
        type='RegressionHead',
        in_dims=256,
        out_dims=12,
        loss='mse',
        init_cfg=dict(type='Xavier', layer='Linear', distribution='uniform')))
mask = dict(type='MotionAwareMask', patch_len=4, mask_ratio=0.9, tau=0.8)
