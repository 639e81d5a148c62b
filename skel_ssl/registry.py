# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The one place that the package takes its registries from.

Everything is registered straight into MMAction2's own registries, so an
existing MMAction2 project (``default_scope = 'mmaction'``) can write a bare
``type='SkeletonTransformer'`` after one ``custom_imports`` line.
"""
from mmaction.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)

__all__ = [
    'DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'METRICS', 'MODELS',
    'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS',
    'TRANSFORMS', 'VISUALIZERS'
]
