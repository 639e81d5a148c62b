# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""torch.compile for the blocks of a model."""
from typing import Callable, Optional, Sequence, Union

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from skel_ssl.registry import HOOKS

BLOCKS = ('TransformerBlock', 'CrossAttentionBlock')


def compile_blocks(model: nn.Module,
                   blocks: Sequence[str] = BLOCKS,
                   dynamic: Optional[bool] = None,
                   backend: Union[str, Callable] = 'inductor') -> int:
    """Compile the blocks of a model where they are.

    Encoder, teacher and decoder repeat a few kinds of blocks, each of which
    is compiled once; layer norm, GELU, residuals and casts become one pass
    over memory. Names of weights stay as they are.

    Args:
        model (nn.Module): The model.
        blocks (Sequence[str]): Names of the classes of modules to compile.
        dynamic (bool, optional): False: anew for every shape, so give it
            shapes that do not change (person batches). None: a shape that
            changes becomes a variable.
        backend (str | Callable): See ``torch.compile``.

    Returns:
        int: How many blocks there are.

    Raises:
        ValueError: If there are none.
    """
    chosen = [m for m in model.modules() if type(m).__name__ in blocks]
    if not chosen:
        raise ValueError(
            f'{type(model).__name__} has no {" or ".join(blocks)} to compile: '
            'train without --compile, or name other modules')
    if not hasattr(chosen[0], 'compile'):
        raise ValueError(
            f'torch {torch.__version__} cannot compile a module in place: '
            'train without --compile, or with torch 2.1 or later')
    for block in chosen:
        block.compile(dynamic=dynamic, backend=backend)
    return len(chosen)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the blocks of a model before it is trained.

    See :func:`compile_blocks`, which has the arguments. ``tools/train.py
    --compile`` adds this hook.
    """

    def __init__(self,
                 blocks: Sequence[str] = BLOCKS,
                 dynamic: Optional[bool] = None,
                 backend: Union[str, Callable] = 'inductor') -> None:
        self.blocks = tuple(blocks)
        self.dynamic = dynamic
        self.backend = backend

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        number = compile_blocks(model, self.blocks, self.dynamic,
                                self.backend)
        runner.logger.info(f'{number} blocks will be compiled by '
                           f'{self.backend}; the first step takes longer')
