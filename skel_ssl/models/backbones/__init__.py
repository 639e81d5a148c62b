# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .gin_encoder import GINEncoder
from .hyperbolic_skeleton_transformer import HyperbolicSkeletonTransformer
from .skeleton_transformer import SkeletonTransformer
from .strl import STRL

__all__ = [
    'STRL', 'GINEncoder', 'HyperbolicSkeletonTransformer',
    'SkeletonTransformer'
]
