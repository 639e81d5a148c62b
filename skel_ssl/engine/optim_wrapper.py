# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Autocast without a gradient scaler, on any device."""
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from skel_ssl.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """bfloat16 autocast; needs no gradient scaler and no accelerator.

    bfloat16 has the range of float32, so nothing is scaled. For float16 use
    MMEngine's ``AmpOptimWrapper``. Norms of targets and losses stay in
    float32: the parts see to that themselves.

    Args:
        **kwargs: Arguments of MMEngine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass."""
        device = get_device()
        with super().optim_context(model), torch.autocast(
                device, dtype=torch.bfloat16):
            yield
