# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Optimizer wrappers that neither wait for the device nor need one."""
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from skel_ssl.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AsyncOptimWrapper(OptimWrapper):
    """MMEngine's wrapper that does not wait for the gradient norm.

    The norm of clipped gradients is handed to the log as a tensor;
    :class:`DeferredScalarsHook` fetches it when it is logged.

    Args:
        **kwargs: Arguments of MMEngine's ``OptimWrapper``.
    """

    def _clip_grad(self) -> None:
        params = [
            p for group in self.optimizer.param_groups
            for p in group['params'] if p.grad is not None
        ]
        if params:
            norm = self.clip_func(params, **self.clip_grad_kwargs)
            if norm is not None:  # clipped by value
                self.message_hub.update_scalar(f'train/{self.grad_name}',
                                               norm)


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(AsyncOptimWrapper):
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
