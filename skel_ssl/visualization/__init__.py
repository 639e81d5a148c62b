# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures of bodies, masks, training curves and results."""
from .animations import save_animation
from .contact_sheet import draw_contact_sheet
from .curves import draw_learning_curve
from .masks import draw_mask
from .skeleton_visualizer import SkeletonVisualizer
from .skeletons import Scene, draw_moment, make_scene

__all__ = [
    'Scene', 'SkeletonVisualizer', 'draw_contact_sheet',
    'draw_learning_curve', 'draw_mask', 'draw_moment', 'make_scene',
    'save_animation'
]
