# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# HA-CM's encoder for small data sets: 13 of 20 joints, 32 frames.
encoder = dict(
    type='HyperbolicSkeletonTransformer',
    layout='kinect20',
    trunk='torso',
    num_frames=32,
    patch_len=4,
    embed_dims=64,
    depth=3,
    num_heads=4)
token_joints = 13
