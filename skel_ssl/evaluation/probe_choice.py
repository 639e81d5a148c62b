# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""How a setting of a probe is chosen without looking at test clips."""
import warnings
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from .linear_probe import LinearProbes, probe_accuracy

# Features, labels and candidates in, a probe for each candidate out.
Fit = Callable[[Tensor, Tensor, Sequence[float]], LinearProbes]


class Fold(NamedTuple):
    """Training clips that are fitted, and those that are held out.

    Attributes:
        fit (np.ndarray): Indices.
        held_out (np.ndarray): Indices.
    """
    fit: np.ndarray
    held_out: np.ndarray


def groups_known(groups: np.ndarray) -> bool:
    """Whether clips can be held out by group: all known, two or more."""
    known = np.unique(groups)
    return len(known) > 1 and '' not in known


def choose_groups(subjects: np.ndarray,
                  recordings: np.ndarray) -> Tuple[str, np.ndarray]:
    """By what to hold out clips: by subject, else by recording, so that the
    views of a performance stay together.

    Args:
        subjects (np.ndarray): ``(n,)`` str; empty where unknown.
        recordings (np.ndarray): Likewise.

    Returns:
        tuple[str, np.ndarray]: ``'subject'``, ``'recording'``, or ``'clip'``
        if neither can be; and the groups, ``(n,)`` str.
    """
    for name, groups in (('subject', subjects), ('recording', recordings)):
        if groups_known(groups):
            return name, groups
    return 'clip', np.full(len(subjects), '')


def validation_folds(labels: np.ndarray,
                     groups: np.ndarray,
                     num_folds: int = 5) -> List[Fold]:
    """Cut the training set into folds, by group if those are known.

    Every clip is held out once, and no group is on both sides of a fold. If
    groups are unknown, or there is but one, clips are held out instead: that
    is easier than a test on other subjects, so say so.

    Args:
        labels (np.ndarray): ``(n,)``.
        groups (np.ndarray): ``(n,)`` str, see :func:`choose_groups`; empty
            where unknown.
        num_folds (int): Number of folds, fewer if there are fewer groups, or
            fewer clips in the largest class.

    Returns:
        list[Fold]: The same for the same clips.

    Raises:
        ValueError: If every class has one clip.
    """
    known = groups_known(groups)
    largest = int(np.unique(labels, return_counts=True)[1].max())
    num_folds = min(num_folds, largest)
    if known:
        num_folds = min(num_folds, len(np.unique(groups)))
    if num_folds < 2:
        raise ValueError(
            f'no clip of the {len(labels)} can be held out to choose a '
            'learning rate or a penalty, since every class has but one: give '
            'one rate, and one penalty')
    with warnings.catch_warnings():
        # A class with fewer clips than folds is missing in some: no matter.
        warnings.filterwarnings('ignore', message='The least populated class')
        if known:
            splitter = StratifiedGroupKFold(num_folds)
            folds = splitter.split(labels, labels, groups)
        else:
            splitter = StratifiedKFold(num_folds)
            folds = splitter.split(labels, labels)
        # A fold can stay empty if one group has most of the clips.
        return [Fold(*fold) for fold in folds if len(fold[1])]


def choose_setting(fit: Fit, features: Tensor, labels: Tensor,
                   folds: Sequence[Fold], candidates: Sequence[float]
                   ) -> Tuple[float, Dict[float, float]]:
    """Choose a learning rate or a penalty on held-out training clips.

    Args:
        fit (Callable): Fits a probe for each candidate.
        features (Tensor): ``(n, D)`` of the training set, or ``(W, n, D)``,
            W views of each clip, of which the first alone is held out.
        labels (Tensor): ``(n,)``.
        folds (Sequence[Fold]): See :func:`validation_folds`.
        candidates (Sequence[float]): The grid.

    Returns:
        tuple[float, dict[float, float]]: The best one, the lowest of several
        as good, and the accuracy of each on all held-out clips.
    """
    grid = sorted(candidates)
    hits = torch.zeros(len(grid), dtype=torch.float64)
    plain = features if features.ndim == 2 else features[0]
    for fold in folds:
        probes = fit(features[..., fold.fit, :], labels[fold.fit], grid)
        accuracy = probe_accuracy(probes, plain[fold.held_out],
                                  labels[fold.held_out])
        hits += accuracy.cpu() * len(fold.held_out)
    hits /= sum(len(fold.held_out) for fold in folds)
    return grid[int(hits.argmax())], dict(zip(grid, hits.tolist()))
