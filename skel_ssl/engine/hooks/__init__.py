# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .collapse_monitor_hook import CollapsedError, CollapseMonitorHook
from .deferred_scalars_hook import DeferredScalarsHook
from .ema_teacher_hook import EMATeacherHook
from .online_knn_hook import OnlineKNNHook
from .same_data_hook import SameDataHook

__all__ = [
    'CollapseMonitorHook', 'CollapsedError', 'DeferredScalarsHook',
    'EMATeacherHook', 'OnlineKNNHook', 'SameDataHook'
]
