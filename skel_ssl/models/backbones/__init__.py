# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .skeleton_transformer import SkeletonTransformer

__all__ = ['SkeletonTransformer']
