# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAMP's encoder for NTU RGB+D (25 joints, 120 frames); MAE has the same.
encoder = dict(
    type='SkeletonTransformer',
    num_joints=25,
    num_frames=120,
    patch_len=4,
    embed_dims=256,
    depth=8,
    num_heads=8,
    layer_scale=None,
    norm_eps=1e-5,
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
    ])
