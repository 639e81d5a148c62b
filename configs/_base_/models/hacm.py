# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# HA-CM (arXiv 2409.17951): cross masking of even and odd segments, by
# attention and by hierarchy, and a contrast between the two. The orderings
# are right; mask_generator.legacy_order=True and neck.unshuffle='rank' repeat
# the public code's.
_base_ = 'hacm_encoder.py'
model = dict(
    type='CrossMaskedModel',
    data_preprocessor=dict(
        type='PersonDataPreprocessor', skip_empty_persons=True),
    backbone=_base_.encoder,
    mask_generator=dict(
        type='CrossMask',
        embed_dims=256,
        mask_ratio=0.9,
        tau=0.9,
        null_weight=0.01,
        distance_factor=2.,
        select='keep_high'),
    neck=dict(
        type='TransformerDecoder',
        num_segments=24,
        num_joints=18,
        in_dims=256,
        embed_dims=256,
        depth=3,
        num_heads=8,
        layer_scale=None,
        norm_eps=1e-5,
        init_cfg=[
            dict(type='Xavier', layer='Linear', distribution='uniform'),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ]),
    target=dict(type='BallMotionTarget', patch_len=3),
    head=dict(
        type='RegressionHead',
        in_dims=256,
        out_dims=9,
        loss='mse',
        init_cfg=dict(type='Xavier', layer='Linear', distribution='uniform')),
    contrast=dict(type='CrossContrastLoss'))
