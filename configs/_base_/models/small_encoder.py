# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# An encoder for small data sets that pre-trains in minutes on a CPU.
encoder = dict(
    type='SkeletonTransformer',
    num_joints=20,
    num_frames=32,
    patch_len=4,
    embed_dims=64,
    depth=3,
    num_heads=4,
    layer_scale=None,
    init_cfg=[
        dict(type='Xavier', layer=['Linear', 'Conv2d'], distribution='normal'),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
    ])
