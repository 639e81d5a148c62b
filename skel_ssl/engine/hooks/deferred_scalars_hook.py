# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Leave losses on the device until somebody reads them."""
import math
from functools import reduce
from typing import Any, List, Optional, Tuple

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor

from skel_ssl.registry import HOOKS


def logging_interval(runner: Runner) -> int:
    """Iterations between two lines in the log, of several loggers the largest
    number that divides theirs; 1 if nothing is logged."""
    every = [hook.interval for hook in runner.hooks
             if isinstance(hook, LoggerHook)]
    return reduce(math.gcd, every) if every else 1


@HOOKS.register_module()
class DeferredScalarsHook(Hook):
    """Fetch losses and gradient norms once per logging interval.

    MMEngine fetches every loss in every iteration, and a GPU waits for the
    host each time. Here tensors wait on the device and are fetched together
    when they are logged, at the end of an epoch, and before a checkpoint.
    What is logged is the same.

    Args:
        interval (int, optional): Iterations, a divisor of the interval of
            the runner's ``LoggerHook``. None: that interval.

    Raises:
        ValueError: If the interval is below 1; before training, if losses
            would be logged before they are fetched.
    """
    # After RuntimeInfoHook has handed the losses over, before LoggerHook.
    priority = 'NORMAL'

    def __init__(self, interval: Optional[int] = None) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'interval={interval} must be 1 or more')
        self.interval = interval
        self._waiting: List[Tuple[str, Tensor, int, bool]] = []

    def before_train(self, runner: Runner) -> None:
        logged = logging_interval(runner)
        self._every = self.interval or logged
        if logged % self._every:
            raise ValueError(
                f'DeferredScalarsHook(interval={self._every}) would leave old '
                f'losses for the log, which has interval={logged}: leave '
                'interval out, or give a divisor')
        self._hub = runner.message_hub
        self._hub.update_scalar = self._update_scalar  # over the class's

    def _update_scalar(self,
                       key: str,
                       value: object,
                       count: int = 1,
                       resumed: bool = True) -> None:
        if isinstance(value, Tensor):
            self._waiting.append((key, value.detach(), count, resumed))
        else:
            type(self._hub).update_scalar(self._hub, key, value, count,
                                          resumed)

    def _fetch(self) -> None:
        if not self._waiting:
            return
        device = self._waiting[0][1].device  # a loss may be elsewhere
        values = torch.stack([
            value.float().reshape(()).to(device)
            for _, value, _, _ in self._waiting
        ]).tolist()
        for (key, _, count, resumed), value in zip(self._waiting, values):
            type(self._hub).update_scalar(self._hub, key, value, count,
                                          resumed)
        self._waiting.clear()

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any,
                         **kwargs: Any) -> None:
        # Whenever LoggerHook may want them.
        if (self.every_n_inner_iters(batch_idx, self._every)
                or self.end_of_epoch(runner.train_dataloader, batch_idx)):
            self._fetch()

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: dict) -> None:
        if self._waiting:
            self._fetch()  # the log was put in before
            checkpoint['message_hub'] = runner.message_hub.state_dict()

    def after_train(self, runner: Runner) -> None:
        self._fetch()
        del self._hub.update_scalar
