# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which clips keep their label in semi-supervised learning.

The choice depends on the names and labels of the clips and on nothing else:
no random generator, rank, machine or order of the file. So it needs no index
file, and its hash proves that two people used the same clips.
"""
import hashlib
from collections import defaultdict
from typing import Dict, List, Sequence


def choose_few_labels(names: Sequence[str],
                      labels: Sequence[int],
                      ratio: float,
                      subset: int = 0) -> List[int]:
    """Choose the same share of every class.

    The clips of a class are ordered by the SHA-256 of ``'subset:name'``, and
    the first ``max(1, round(ratio * n))`` are taken (halves go to the even
    number). A smaller share is thus contained in a larger one.

    Args:
        names (Sequence[str]): Names of the clips, without repetition.
        labels (Sequence[int]): Their classes.
        ratio (float): Share of each class, in (0, 1].
        subset (int): Number of the draw, 0 or more.

    Returns:
        list[int]: Indices into ``names``, rising.

    Raises:
        ValueError: If the ratio or the subset is out of range, or a name
            comes twice.
    """
    if not 0 < ratio <= 1:
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
        count = max(1, round(ratio * len(members)))
        chosen += sorted(members, key=digest.__getitem__)[:count]
    return sorted(chosen)


def hash_clips(names: Sequence[str]) -> str:
    """SHA-256 of a set of clip names, whatever their order; 64 digits."""
    return hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()
