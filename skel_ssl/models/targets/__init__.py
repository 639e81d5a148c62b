# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .ball_motion_target import BallMotionTarget
from .joint_target import JointTarget
from .patch_targets import CoordinateTarget, MotionTarget
from .teacher_target import TeacherTarget

__all__ = [
    'BallMotionTarget', 'CoordinateTarget', 'JointTarget', 'MotionTarget',
    'TeacherTarget'
]
