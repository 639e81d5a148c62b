# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .teacher_target import TeacherTarget

__all__ = ['TeacherTarget']
