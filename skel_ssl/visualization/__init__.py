# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures of masks and of training curves."""
from .curves import draw_learning_curve
from .masks import draw_mask

__all__ = ['draw_learning_curve', 'draw_mask']
