# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Skeleton2vec (arXiv 2401.00921): an EMA teacher's features as targets.
_base_ = 'skel2vec_encoder.py'
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
        layer_scale=1e-4),
    target=dict(
        type='TeacherTarget', top_k=8, layer_norm='instance', final_norm=True),
    head=dict(type='RegressionHead', in_dims=256, out_dims=256, loss='mse'))
mask = dict(
    type='MotionAwareTubeMask',
    patch_len=3,
    mask_ratio=0.9,
    tube_len=5,
    beta=0.1)
custom_hooks = [
    dict(
        type='EMATeacherHook',
        start_decay=0.9999,
        end_decay=1.0,
        anneal_epochs=800),
    dict(type='CollapseMonitorHook')
]
