# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Fingerprints of poses, by which copied frames are found again."""
import hashlib
from typing import Dict, List, Sequence

import numpy as np

_STEPS = 4096  # in a body size: about a third of a millimetre
_SEED = 20  # of the factors; every file uses the same


def frame_prints(poses: np.ndarray, size: float) -> np.ndarray:
    """A number for each pose, equal for equal poses wherever they stand.

    The first joint is subtracted and the rest rounded to a grid far below
    the noise of any sensor, so two poses agree only if one is a copy.
    A copy that was moved in float32 can fall on the other side of a grid
    line in some frames, hardly in all.

    Args:
        poses (np.ndarray): ``(N, V, C)``, finite.
        size (float): Size of a body, in the same unit.

    Returns:
        np.ndarray: ``(N,)`` uint64.
    """
    grid = np.rint((poses - poses[:, :1]) * (_STEPS / size))
    grid = np.clip(grid, -2.**62, 2.**62).astype(np.int64).view(np.uint64)
    factors = np.random.default_rng(_SEED).integers(
        2**63, size=poses.shape[1:], dtype=np.uint64)
    return (grid * (2 * factors + 1)).sum((1, 2), dtype=np.uint64)


class PrintIndex:
    """Finds clips by their prints.

    Args:
        prints (Sequence[np.ndarray]): The prints of each clip; empty for
            clips that are not to be found.

    Attributes:
        sizes (np.ndarray): Number of prints of each clip.
        groups (np.ndarray): A number for each clip, the same for clips with
            the same prints in the same order; -1 for clips without any.
    """

    def __init__(self, prints: Sequence[np.ndarray]) -> None:
        self.sizes = np.array([len(p) for p in prints], int)
        self.groups = _group_equal(prints)
        self._owner = np.repeat(np.arange(len(prints)), self.sizes)
        self._start = np.cumsum(self.sizes) - self.sizes
        joined = np.concatenate([np.empty(0, np.uint64), *prints])
        unique, self._ids = np.unique(joined, return_inverse=True)
        self._num_ids = len(unique)

    def count_shared(self, among: np.ndarray) -> np.ndarray:
        """How many prints of each clip occur in some clips.

        Args:
            among (np.ndarray): ``(clips,)`` bool, where to look.

        Returns:
            np.ndarray: ``(clips,)`` counts.
        """
        known = np.zeros(self._num_ids, bool)
        known[self._ids[among[self._owner]]] = True
        return np.bincount(
            self._owner, known[self._ids], len(self.sizes)).astype(int)

    def best_matches(self, clips: np.ndarray,
                     among: np.ndarray) -> List[int]:
        """The clips that share most prints with each of some clips.

        Args:
            clips (np.ndarray): Indices of clips that share some.
            among (np.ndarray): ``(clips,)`` bool, where to look.
        """
        places = np.flatnonzero(among[self._owner])
        places = places[np.argsort(self._ids[places], kind='stable')]
        ids = self._ids[places]
        matches = []
        for clip in clips:
            start = self._start[clip]
            own = np.unique(self._ids[start:start + self.sizes[clip]])
            low, high = (np.searchsorted(ids, own, side)
                         for side in ('left', 'right'))
            owners = np.concatenate([
                self._owner[places[a:b]] for a, b in zip(low, high)
            ])
            matches.append(int(np.bincount(owners).argmax()))
        return matches


def _group_equal(prints: Sequence[np.ndarray]) -> np.ndarray:
    numbers: Dict[bytes, int] = {}
    groups = np.full(len(prints), -1)
    for i, print_ in enumerate(prints):
        if len(print_):
            digest = hashlib.blake2b(print_.tobytes(), digest_size=16).digest()
            groups[i] = numbers.setdefault(digest, len(numbers))
    return groups
