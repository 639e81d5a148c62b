# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .collapse_monitor_hook import CollapsedError, CollapseMonitorHook
from .compile_hook import CompileHook
from .deferred_scalars_hook import DeferredScalarsHook
from .ema_teacher_hook import EMATeacherHook
from .finite_loss_hook import FiniteLossHook, NonFiniteError
from .online_knn_hook import OnlineKNNHook
from .same_data_hook import SameDataHook
from .seeded_steps_hook import SeededStepsHook
from .skeleton_visualization_hook import SkeletonVisualizationHook

__all__ = [
    'CollapseMonitorHook', 'CollapsedError', 'CompileHook',
    'DeferredScalarsHook', 'EMATeacherHook', 'FiniteLossHook',
    'NonFiniteError', 'OnlineKNNHook', 'SameDataHook', 'SeededStepsHook',
    'SkeletonVisualizationHook'
]
