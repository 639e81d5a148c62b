# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .hooks import *  # noqa: F403
from .optim_constructor import (
    LayerDecayConstructor,
    TrainableParamsConstructor,
)
from .optim_wrapper import AsyncOptimWrapper, AutocastOptimWrapper
from .schedulers import WarmupCosineLR

__all__ = [
    'AsyncOptimWrapper', 'AutocastOptimWrapper', 'LayerDecayConstructor',
    'TrainableParamsConstructor', 'WarmupCosineLR'
]
