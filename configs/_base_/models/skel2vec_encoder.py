# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Skeleton2vec's encoder for NTU RGB+D (25 joints, 90 frames).
encoder = dict(
    type='SkeletonTransformer',
    num_joints=25,
    num_frames=90,
    patch_len=3,
    embed_dims=256,
    depth=8,
    num_heads=8,
    layer_scale=1e-4)
