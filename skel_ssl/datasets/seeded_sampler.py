# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Random augmentation that does not depend on who computes it."""
import random
from contextlib import contextmanager
from typing import Iterator, Optional, Sized, Tuple

import numpy as np
import torch
from mmengine.dataset import DefaultSampler

from skel_ssl.registry import DATA_SAMPLERS


class SeededIndex(int):
    """An index of a dataset that brings the seed of its sample along.

    It is an ``int``, so every dataset understands it. The index arithmetic
    of MMEngine's ``ConcatDataset`` and ``RepeatDataset`` (``+``, ``-``,
    ``%``) keeps the seed. ``ClassBalancedDataset`` looks indices up in a
    table of its own and so loses it.

    Args:
        value (int): The index.
        seed (int): Seed of the sample, in ``[0, 2**32)``.
    """
    seed: int

    def __new__(cls, value: int, seed: int) -> 'SeededIndex':
        index = super().__new__(cls, value)
        index.seed = seed
        return index

    def __getnewargs__(self) -> Tuple[int, int]:  # type: ignore[override]
        return int(self), self.seed

    def __repr__(self) -> str:
        return f'SeededIndex({int(self)}, seed={self.seed})'

    def __add__(self, other: int) -> 'SeededIndex':
        return SeededIndex(int(self) + other, self.seed)

    __radd__ = __add__

    def __sub__(self, other: int) -> 'SeededIndex':
        return SeededIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> 'SeededIndex':
        return SeededIndex(int(self) % other, self.seed)


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Mix the seed of a run, an epoch and an index into a sample's seed.

    NumPy's ``SeedSequence`` does the mixing: neighbouring epochs and indices
    give unrelated seeds, and its output is frozen across NumPy versions.

    Args:
        seed (int): Seed of the run, 0 or more.
        epoch (int): Epoch, 0 or more.
        index (int): Index of the sample in the dataset, 0 or more.

    Returns:
        int: A seed in ``[0, 2**32)``.
    """
    mix = np.random.SeedSequence(seed, spawn_key=(epoch, index))
    return int(mix.generate_state(1)[0])


@contextmanager
def isolated_random(seed: Optional[int] = None) -> Iterator[None]:
    """Put the global random generators back as they were, come what may.

    Concerns the generators that data transforms draw from: NumPy's,
    ``random``'s and torch's on the CPU.

    Args:
        seed (int, optional): Seed of the three inside the block, in
            ``[0, 2**32)``. None: they continue from where they are.
    """
    torch_cpu = torch.default_generator
    states = np.random.get_state(), random.getstate(), torch_cpu.get_state()
    try:
        if seed is not None:
            np.random.seed(seed)
            random.seed(seed)
            torch_cpu.manual_seed(seed)
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
        torch_cpu.set_state(states[2])


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler`` with a seed for every sample.

    The order is that of ``DefaultSampler``. Each index is a
    :class:`SeededIndex`, whose seed depends on the sampler's seed, the epoch
    and the index in the dataset, and on nothing else: clip i of epoch e is
    augmented alike for any number of workers and ranks, and after a resume.
    It takes a dataset that heeds the seed, see :class:`SkeletonDataset`.

    The epoch is the one set by ``set_epoch``. MMEngine's training loops call
    it before each epoch; its validation and test loops never do, so there
    the epoch stays 0 and every validation sees the same samples.

    The seed of the sampler must itself be the same after a resume: give
    ``randomness=dict(seed=...)`` in the config (or ``--seed``). A run without
    one draws a new seed at each start, before a checkpoint is read.

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): Whether to shuffle, anew in each epoch.
        seed (int, optional): Seed of the order and of the samples, 0 or
            more, the same on all ranks. None: drawn by rank 0.
        round_up (bool): Whether to repeat the first samples until all ranks
            have the same number. False: each sample once.

    Raises:
        ValueError: If the seed is negative.
    """

    def __init__(self,
                 dataset: Sized,
                 shuffle: bool = True,
                 seed: Optional[int] = None,
                 round_up: bool = True) -> None:
        if seed is not None and seed < 0:
            raise ValueError(
                f'SeededSampler needs a seed of 0 or more, not {seed}')
        super().__init__(dataset, shuffle, seed, round_up)

    def __iter__(self) -> Iterator[SeededIndex]:
        """Iterate over this rank's share of the epoch."""
        epoch = self.epoch
        return (SeededIndex(i, sample_seed(self.seed, epoch, i))
                for i in super().__iter__())
