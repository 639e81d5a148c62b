# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAMP in a size and with a decoder for small data sets; docs/benchmark.md says
# how the settings of these files were chosen.
_base_ = 'small_encoder.py'
model = dict(
    type='MaskedSkeletonModel',
    data_preprocessor=dict(
        type='PersonDataPreprocessor', skip_empty_persons=True),
    backbone=_base_.encoder,
    query_ratio=0.25,
    neck=dict(
        type='CrossAttentionDecoder',
        num_segments=8,
        num_joints=20,
        in_dims=64,
        embed_dims=64,
        depth=1,
        num_heads=4,
        layer_scale=None,
        init_cfg=_base_.encoder.init_cfg),
    target=dict(type='MotionTarget', patch_len=4, normalise='patch'),
    head=dict(type='RegressionHead', in_dims=64, out_dims=12))
mask = dict(type='MotionAwareMask', patch_len=4, mask_ratio=0.7, tau=0.8)
