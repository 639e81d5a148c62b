# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Trade time for memory without touching what is learned."""
from typing import Any, List

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_with_checkpoint(module: nn.Module, *args: Any) -> Any:
    """Run a module, and run it again in the backward pass.

    Its activations are not kept in between. The second time the running
    statistics of batch norms stay as they are, so that they move once a step.

    Args:
        module (nn.Module): The module.
        *args: Its inputs.
    """
    norms: List[Any] = [
        m for m in module.modules() if isinstance(m, _BatchNorm)
    ]
    again = False

    def run(*args: Any) -> Any:
        nonlocal again
        if not again:
            again = True
            return module(*args)
        before = [(n, n.momentum, n.num_batches_tracked.clone())
                  for n in norms]
        for norm in norms:
            norm.momentum = 0.
        try:
            return module(*args)
        finally:
            for norm, momentum, steps in before:
                norm.momentum = momentum
                norm.num_batches_tracked.copy_(steps)

    return checkpoint(run, *args, use_reentrant=False)
