# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A look at a model in training that leaves no trace in it."""
from contextlib import contextmanager
from typing import Iterator

import torch
from torch import nn

from skel_ssl.datasets.seeded_sampler import isolated_random


@contextmanager
def unnoticed(model: nn.Module, seed: int) -> Iterator[None]:
    """Eval mode without gradients; leaves modes and generators alone.

    A model that makes its own masks makes the same at each check and on all
    ranks: its generators start from ``seed``. Compiled blocks run as they
    were written: batches of other sizes would use up the compilations that
    PyTorch grants the training.
    """
    modes = [(module, module.training) for module in model.modules()]
    compiled = [(module, module._compiled_call_impl)
                for module in model.modules()
                if getattr(module, '_compiled_call_impl', None) is not None]
    device = next(model.parameters()).device
    devices = [device] if device.type == 'cuda' else []
    with isolated_random(seed), torch.random.fork_rng(
            devices), torch.no_grad():
        if devices:
            torch.cuda.manual_seed(seed)
        model.eval()
        for module, _ in compiled:
            module._compiled_call_impl = None
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for module, call in compiled:
                module._compiled_call_impl = call
