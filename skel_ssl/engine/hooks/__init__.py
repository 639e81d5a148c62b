# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .ema_teacher_hook import EMATeacherHook

__all__ = ['EMATeacherHook']
