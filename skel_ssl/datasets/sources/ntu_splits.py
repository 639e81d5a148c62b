# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The protocols of NTU RGB+D: what a clip's name says, and who trains."""
import re
from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Set

_NAME = re.compile(r'S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})', re.ASCII)

# Shahroudy et al. 2016, sections 4.3.1 and 4.3.2.
_TRAIN_PERFORMERS_60 = frozenset(
    [1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38])
_TRAIN_CAMERAS = frozenset([2, 3])
# Liu et al. 2019, section 4.3.
_TRAIN_PERFORMERS_120 = _TRAIN_PERFORMERS_60.union(
    [45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89],
    [*range(91, 96), 97, 98, 100, 103])


class ClipName(NamedTuple):
    """What ``SsssCcccPpppRrrrAaaa`` stands for; all count from 1."""
    setup: int
    camera: int
    performer: int
    replication: int
    action: int


class Dataset(NamedTuple):
    """One of the two data sets.

    Attributes:
        limits (ClipName): The highest number of each kind.
        trains (dict[str, Callable]): Of each protocol, whether a clip is for
            training.
        sizes (dict[str, int]): The clips in each split once those on the
            missing list are left out, as published.
        num_missing (int): The clips on the missing list.
    """
    limits: ClipName
    trains: Mapping[str, Callable[[ClipName], bool]]
    sizes: Mapping[str, int]
    num_missing: int


DATASETS: Dict[str, Dataset] = dict(
    ntu60=Dataset(
        limits=ClipName(17, 3, 40, 2, 60),
        trains=dict(
            xsub=lambda clip: clip.performer in _TRAIN_PERFORMERS_60,
            xview=lambda clip: clip.camera in _TRAIN_CAMERAS),
        sizes=dict(
            xsub_train=40091,
            xsub_val=16487,
            xview_train=37646,
            xview_val=18932),
        num_missing=302),
    ntu120=Dataset(
        limits=ClipName(32, 3, 106, 2, 120),
        trains=dict(
            xsub=lambda clip: clip.performer in _TRAIN_PERFORMERS_120,
            xset=lambda clip: clip.setup % 2 == 0),
        sizes=dict(
            xsub_train=63026,
            xsub_val=50919,
            xset_train=54468,
            xset_val=59477),
        num_missing=535))


def parse_name(name: str) -> ClipName:
    """Read the name of a clip.

    Args:
        name (str): Such as ``S001C002P003R002A013``.

    Raises:
        ValueError: If it is written in another way.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f'{name!r} is not the name of a clip of NTU RGB+D, which is '
            'written as S001C002P003R002A013')
    return ClipName(*map(int, match.groups()))


def belongs(name: ClipName, dataset: str) -> bool:
    """Whether a clip is one of a data set, by its numbers.

    Args:
        name (ClipName): The clip.
        dataset (str): ``'ntu60'`` or ``'ntu120'``.
    """
    limits = DATASETS[dataset].limits
    return all(1 <= number <= limit for number, limit in zip(name, limits))


def make_splits(names: Iterable[str], dataset: str) -> Dict[str, List[str]]:
    """Divide clips by the protocols of a data set.

    Args:
        names (Iterable[str]): The clips.
        dataset (str): ``'ntu60'``: ``xsub`` by performer and ``xview`` by
            camera; ``'ntu120'``: ``xsub`` and ``xset``, by setup.

    Returns:
        dict[str, list[str]]: ``<protocol>_train`` and ``<protocol>_val`` of
        each protocol, clips in the order of ``names``.

    Raises:
        ValueError: If a name is not one of NTU RGB+D.
    """
    parsed = {name: parse_name(name) for name in names}
    splits = {}
    for protocol, trains in DATASETS[dataset].trains.items():
        for part, wanted in (('train', True), ('val', False)):
            splits[f'{protocol}_{part}'] = [
                name for name, clip in parsed.items() if trains(clip) is wanted
            ]
    return splits


def read_missing_list(text: str) -> Set[str]:
    """The clips on one of the authors' lists of missing skeletons.

    Args:
        text (str): What the list says, one name a line; whatever else it
            says is passed over.

    Raises:
        ValueError: If there is no name in it.
    """
    names = {match[0] for match in _NAME.finditer(text)}
    if not names:
        raise ValueError(
            'there is no name such as S001C002P003R002A013 in it; the lists '
            'come with https://github.com/shahroudy/NTURGB-D')
    return names
