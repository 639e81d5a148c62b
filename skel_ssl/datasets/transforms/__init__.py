# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .augment import (
                      PoseRandomFlip,
                      PoseRandomRotate,
                      PoseRandomScale,
                      PoseRandomShear,
                      PoseTemporalCropResize,
)
from .base import PoseTransform
from .jitter import PoseJitter
from .masking import (
                      BodyPartMask,
                      MotionAwareMask,
                      MotionAwareTubeMask,
                      RandomMask,
)
from .normalize import PosePreNormalize3D
from .normalize_2d import PosePreNormalize2D
from .sampling import PoseUniformSampleFrames
from .streams import PoseGenSkeFeat

__all__ = [
    'BodyPartMask', 'MotionAwareMask', 'MotionAwareTubeMask', 'PoseGenSkeFeat',
    'PoseJitter', 'PosePreNormalize2D', 'PosePreNormalize3D', 'PoseRandomFlip',
    'PoseRandomRotate', 'PoseRandomScale', 'PoseRandomShear',
    'PoseTemporalCropResize', 'PoseTransform', 'PoseUniformSampleFrames',
    'RandomMask'
]
