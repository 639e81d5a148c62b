# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .augment import (
                      PoseJitter,
                      PoseRandomFlip,
                      PoseRandomRotate,
                      PoseRandomScale,
                      PoseRandomShear,
                      PoseTemporalCropResize,
)
from .base import PoseTransform
from .masking import MotionAwareMask, MotionAwareTubeMask, RandomMask
from .normalize import PosePreNormalize3D
from .streams import PoseGenSkeFeat

__all__ = [
    'MotionAwareMask', 'MotionAwareTubeMask', 'PoseGenSkeFeat', 'PoseJitter',
    'PosePreNormalize3D', 'PoseRandomFlip', 'PoseRandomRotate',
    'PoseRandomScale', 'PoseRandomShear', 'PoseTemporalCropResize',
    'PoseTransform', 'RandomMask'
]
