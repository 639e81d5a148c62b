# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The learning rate schedule of masked pre-training."""
import math
from typing import Any, List

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from skel_ssl.registry import PARAM_SCHEDULERS


def warmup_cosine(progress: float, warmup: float, total: float,
                  eta_min_ratio: float) -> float:
    """Linear rise from 0, then half a cosine, as a factor of the base rate.

    Args:
        progress (float): Where the run is, in the unit of the lengths.
        warmup (float): Length of the rise.
        total (float): Length of the whole schedule, the rise included.
        eta_min_ratio (float): Factor at the end of the schedule and after it.

    Returns:
        float: The factor, in [0, 1].
    """
    if progress < warmup:
        return progress / warmup
    phase = min((progress - warmup) / (total - warmup), 1.)
    cosine = 0.5 * (1 + math.cos(math.pi * phase))
    return eta_min_ratio + (1 - eta_min_ratio) * cosine


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    """Warm-up and cosine decay in one closed form.

    MMEngine's ``LinearLR`` cannot start at 0 and reaches the base rate one
    iteration early; the published schedules are exact here. Set
    ``convert_to_iter_based=True`` to change the rate in each iteration. The
    schedule may be longer than the run: Skeleton2vec stops after 600 of 800
    epochs.

    Args:
        optimizer (Optimizer | BaseOptimWrapper): Wrapped optimizer.
        warmup (float): Length of the rise in epochs, or in iterations if
            ``by_epoch=False``.
        total (float): Length of the schedule, the rise included.
        eta_min_ratio (float): Final rate over base rate.
        offset (int): Progress of the first step: 1 for schedules that are
            set after counting the step (Skeleton2vec), 0 for the MAE family,
            whose first step has a rate of 0.
        **kwargs: ``begin``, ``end``, ``last_step``, ``by_epoch``,
            ``verbose`` of MMEngine's schedulers.

    Raises:
        ValueError: If the schedule is not longer than its warm-up.
    """

    def __init__(self,
                 optimizer: Any,
                 warmup: float,
                 total: float,
                 eta_min_ratio: float = 0.,
                 offset: int = 1,
                 **kwargs: Any) -> None:
        if total <= warmup:
            raise ValueError(f'a schedule of {total} cannot hold a warm-up '
                             f'of {warmup}')
        self.warmup = warmup
        self.total = total
        self.eta_min_ratio = eta_min_ratio
        self.offset = offset
        super().__init__(optimizer, **kwargs)

    @classmethod
    def build_iter_from_epoch(cls, *args: Any, warmup: float, total: float,
                              epoch_length: int, begin: int = 0,
                              end: int = 10**9, by_epoch: bool = True,
                              **kwargs: Any) -> 'WarmupCosineLR':
        """Build from lengths in epochs; called by MMEngine's runner."""
        if not by_epoch:
            raise ValueError('convert_to_iter_based needs lengths in epochs: '
                             'remove by_epoch=False')
        return cls(  # type: ignore[misc]  # args is the optimizer alone
            *args,
            warmup=warmup * epoch_length,
            total=total * epoch_length,
            begin=int(begin * epoch_length),
            end=int(end * epoch_length),
            by_epoch=False,
            **kwargs)

    def _get_value(self) -> List[float]:
        factor = warmup_cosine(self.last_step + self.offset, self.warmup,
                               self.total, self.eta_min_ratio)
        return [base * factor for base in self.base_values]
