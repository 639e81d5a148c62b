# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The graph encoder of SkeletonMAE: 3 GIN layers over 17 joints.
encoder = dict(
    type='GINEncoder',
    layout='coco17',
    in_channels=2,
    embed_dims=64,
    hidden_dims=64,
    depth=3)
