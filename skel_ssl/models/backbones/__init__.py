# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .hyperbolic_skeleton_transformer import HyperbolicSkeletonTransformer
from .skeleton_transformer import SkeletonTransformer

__all__ = ['HyperbolicSkeletonTransformer', 'SkeletonTransformer']
