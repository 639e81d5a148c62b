# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Stops a training whose numbers have left the finite ones."""
import math
from typing import Dict, List, Optional, Tuple, Union

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from skel_ssl.registry import HOOKS

from .deferred_scalars_hook import logging_interval

_ADVICE = ('Lower the learning rate, lengthen its warm-up or clip gradients '
           '(optim_wrapper.clip_grad), take bfloat16 in place of float16, and '
           'continue with --resume: every checkpoint on disk is of before')


class NonFiniteError(RuntimeError):
    """A loss or a weight is NaN or infinite."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is NaN or infinite.

    Losses stay on the device until the end of a logging interval or an
    epoch, and are looked at together: no step waits for the host. They, and
    every parameter, are also looked at before a checkpoint is written, so
    that none holds numbers that no training can continue from.

    A process of several that stops makes its launcher (torchrun, srun with
    ``--kill-on-bad-exit``, mpirun) stop the others.

    Args:
        interval (int, optional): Iterations between two looks. None: that
            of the runner's ``LoggerHook``.

    Raises:
        ValueError: If the interval is less than 1.
        NonFiniteError: During training; it names the loss or the parameter.
    """
    # After LoggerHook, before CheckpointHook.
    priority = 'LOW'

    def __init__(self, interval: Optional[int] = None) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'interval={interval} must be 1 or more')
        self.interval = interval
        self._waiting: List[Tuple[int, str, Union[Tensor, float]]] = []

    def before_train(self, runner: Runner) -> None:
        self._every = self.interval or logging_interval(runner)
        self._waiting.clear()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: object = None,
                         outputs: Optional[Dict[str, Tensor]] = None) -> None:
        for name, value in (outputs or {}).items():
            if 'loss' in name:
                value = value.detach() if torch.is_tensor(value) else value
                self._waiting.append((runner.iter + 1, name, value))
        if (self.every_n_inner_iters(batch_idx, self._every)
                or self.end_of_epoch(runner.train_dataloader, batch_idx)):
            self._look_at_losses(runner)

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: dict) -> None:
        self._look_at_losses(runner)
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        weights = checkpoint['state_dict']
        bad = [
            name for name, _ in model.named_parameters()
            if name in weights and not weights[name].isfinite().all()
        ]
        if bad:
            done = checkpoint['meta']['iter']
            raise NonFiniteError(
                f'{len(bad)} parameters, the first is {bad[0]!r}, are NaN or '
                f'infinite after iteration {done} (epoch {runner.epoch + 1}), '
                'though the losses were finite: this checkpoint was not '
                f'written. {_ADVICE}')

    def after_train(self, runner: Runner) -> None:
        self._look_at_losses(runner)

    def _look_at_losses(self, runner: Runner) -> None:
        if not self._waiting:
            return
        device = next((value.device for _, _, value in self._waiting
                       if torch.is_tensor(value)), None)
        values = torch.stack([
            torch.as_tensor(value, dtype=torch.float32,
                            device=device).reshape(())
            for _, _, value in self._waiting
        ]).tolist()
        bad = [(at, name, value)
               for (at, name, _), value in zip(self._waiting, values)
               if not math.isfinite(value)]
        self._waiting.clear()
        if bad:
            first = bad[0][0]
            named = ', '.join(f'{name!r} is {value}'
                              for at, name, value in bad if at == first)
            raise NonFiniteError(
                f'{named} at iteration {first} (epoch {runner.epoch + 1}): '
                f'the training was stopped. {_ADVICE}')
