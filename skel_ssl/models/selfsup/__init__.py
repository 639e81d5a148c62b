# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .cross_masked_model import CrossMaskedModel
from .graph_skeleton_mae import GraphSkeletonMAE
from .masked_skeleton_model import MaskedSkeletonModel

__all__ = ['CrossMaskedModel', 'GraphSkeletonMAE', 'MaskedSkeletonModel']
