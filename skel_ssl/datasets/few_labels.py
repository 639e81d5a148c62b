# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which clips keep their label in semi-supervised learning.

The choice depends on the names and labels of the clips and on nothing else:
no random generator, rank, machine or order of the file. So it needs no index
file, and its hash proves that two people used the same clips.
"""
import hashlib
from collections import defaultdict
from typing import Dict, List, Optional, Sequence


def choose_few_labels(names: Sequence[str],
                      labels: Sequence[int],
                      ratio: Optional[float] = None,
                      subset: int = 0,
                      shots: Optional[int] = None) -> List[int]:
    """Choose the same share, or the same number, of every class.

    The clips of a class are ordered by the SHA-256 of ``'subset:name'``, and
    the first ``max(1, round(ratio * n))`` are taken (halves go to the even
    number), or the first ``shots``. A smaller choice is thus contained in a
    larger one.

    Args:
        names (Sequence[str]): Names of the clips, without repetition.
        labels (Sequence[int]): Their classes.
        ratio (float, optional): Share of each class, in (0, 1].
        subset (int): Number of the draw, 0 or more.
        shots (int, optional): Clips of each class, instead of a share; a
            class that has fewer keeps all.

    Returns:
        list[int]: Indices into ``names``, rising.

    Raises:
        ValueError: If the ratio, the shots or the subset are out of range,
            not one of ratio and shots is given, or a name comes twice.
    """
    if (ratio is None) == (shots is None):
        raise ValueError(f'give a ratio or shots, one of them: ratio={ratio}, '
                         f'shots={shots}')
    if shots is not None and (not isinstance(shots, int) or shots < 1):
        raise ValueError(f'shots={shots!r} must be a whole number, 1 or more')
    if ratio is not None and not 0 < ratio <= 1:
        raise ValueError(f'ratio={ratio} must be above 0 and at most 1: 0.01 '
                         'is 1 % of the labels')
    if not isinstance(subset, int) or subset < 0:
        raise ValueError(f'subset={subset!r} must be a whole number, 0 or '
                         'more')
    by_class: Dict[int, List[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        by_class[label].append(index)
    if len(set(names)) < len(names):
        twice = next(n for i, n in enumerate(names) if n in names[:i])
        raise ValueError(f'clip {twice!r} comes twice: few-label subsets are '
                         'chosen by name, so names must differ')
    digest = {
        i: hashlib.sha256(f'{subset}:{name}'.encode()).digest()
        for i, name in enumerate(names)
    }
    chosen: List[int] = []
    for members in by_class.values():
        count = shots or max(1, round((ratio or 0) * len(members)))
        chosen += sorted(members, key=digest.__getitem__)[:count]
    return sorted(chosen)


def hash_clips(names: Sequence[str]) -> str:
    """SHA-256 of a set of clip names, whatever their order; 64 digits."""
    return hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()
