# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parameter groups without the frozen parts."""
from typing import List

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from skel_ssl.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableParamsConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's default constructor, which passes over frozen modules.

    The default one puts a warning on the log for each of a teacher's or a
    frozen encoder's parameters.
    """

    def add_params(self, params: List[dict], module: nn.Module,
                   **kwargs) -> None:
        """Add the groups of a module, unless nothing in it is trained."""
        if any(p.requires_grad for p in module.parameters()):
            super().add_params(params, module, **kwargs)
