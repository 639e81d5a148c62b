# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# HA-CM in a size and with a decoder for small data sets.
_base_ = 'hacm_small_encoder.py'
model = dict(
    type='CrossMaskedModel',
    data_preprocessor=dict(
        type='PersonDataPreprocessor', skip_empty_persons=True),
    backbone=_base_.encoder,
    mask_generator=dict(
        type='CrossMask',
        embed_dims=64,
        mask_ratio=0.7,
        tau=0.9,
        null_weight=0.01,
        distance_factor=2.,
        select='keep_high'),
    query_ratio=0.25,
    neck=dict(
        type='CrossAttentionDecoder',
        num_segments=8,
        num_joints=13,
        in_dims=64,
        embed_dims=64,
        depth=1,
        num_heads=4,
        layer_scale=None,
        norm_eps=1e-5,
        init_cfg=[
            dict(type='Xavier', layer='Linear', distribution='uniform'),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ]),
    target=dict(type='BallMotionTarget', patch_len=4),
    head=dict(
        type='RegressionHead',
        in_dims=64,
        out_dims=12,
        loss='mse',
        init_cfg=dict(type='Xavier', layer='Linear', distribution='uniform')),
    contrast=dict(type='CrossContrastLoss'))
