# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Random numbers of a model that do not depend on what happened before."""
from typing import Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from skel_ssl.registry import HOOKS


@HOOKS.register_module()
class SeededStepsHook(Hook):
    """Seed torch before every training step.

    For what a model draws itself: HA-CM's masks, the hidden tokens that a
    loss looks at, dropout, drop path. torch's generators are not in a
    checkpoint, and a data loader draws from them as often as it starts its
    workers. Here the seed of a step depends on the runner's seed, the
    iteration and the rank, and on nothing else, as that of a sample with
    :class:`~skel_ssl.datasets.SeededSampler`.
    """
    priority = 'VERY_HIGH'

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        # The 1 keeps it apart from the seeds of samples.
        mix = np.random.SeedSequence(
            runner.seed, spawn_key=(runner.iter, get_rank(), 1))
        torch.manual_seed(int(mix.generate_state(1)[0]))
