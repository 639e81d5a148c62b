# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# HA-CM's encoder for NTU RGB+D: 18 of 25 joints, 72 frames, tokens in the
# Poincare ball.
encoder = dict(
    type='HyperbolicSkeletonTransformer',
    layout='ntu25',
    trunk='torso',
    num_frames=72,
    patch_len=3,
    embed_dims=256,
    depth=8,
    num_heads=8)
token_joints = 18
