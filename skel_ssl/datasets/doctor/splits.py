# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Splits: which clips they name, and which of them belong together."""
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from .clips import Clip
from .findings import Finding, count, listing

_PART = re.compile(
    r'(?P<stem>.*?)_?(?P<part>train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?'
    r'|eval)(?P<number>\d*)', re.IGNORECASE)


@dataclass(frozen=True)
class Protocol:
    """A training split and one that is tested on.

    Attributes:
        name (str): What both names have in common; 'all' if that is nothing.
        train (str): Name of the training split.
        test (str): Name of the other one.
    """
    name: str
    train: str
    test: str


def read_splits(
    split: Mapping[Any, Any], clips: Sequence[Clip]
) -> Tuple[Dict[str, List[int]], List[Finding]]:
    """Find the clips of every split.

    Args:
        split (Mapping): As the file has it; anything may be in it.
        clips (Sequence[Clip]): The clips of the file.

    Returns:
        tuple[dict[str, list[int]], list[Finding]]: Indices of the clips of
        each split, in its order; and what is wrong.
    """
    by_name: Dict[str, List[int]] = {}
    for clip in clips:
        by_name.setdefault(clip.name, []).append(clip.index)
    members: Dict[str, List[int]] = {}
    findings: List[Finding] = []
    for key, entries in split.items():
        key = str(key)
        names, stray = names_of(entries)
        times = Counter(names)
        members[key] = [i for name in times for i in by_name.get(name, ())]
        missing = [name for name in times if name not in by_name]
        twice = [name for name in times if times[name] > 1]
        if stray:
            findings.append(Finding('bad-split', stray, place=key))
        if missing:
            findings.append(
                Finding(
                    'missing-clip', f'{len(missing)} of {len(times)} names '
                    f'are not in the file: {listing(missing, 3)}', missing,
                    place=key))
        if twice:
            findings.append(
                Finding('repeated-in-split',
                        f'{count(len(twice), "clip")} named more than once',
                        twice, place=key))
        if not names and not stray:
            findings.append(Finding('empty-split', 'has no clip', place=key))
    return members, findings + _find_unused(members, clips)


def names_of(entries: Any) -> Tuple[List[str], str]:
    """The names in a split, and what else is there, in words.

    Args:
        entries (Any): What the file has for the split.
    """
    if not isinstance(entries, (list, tuple, set, frozenset, np.ndarray)):
        return [], f'is of type {type(entries).__name__}, not a list of names'
    entries = list(np.ravel(entries) if isinstance(entries, np.ndarray)
                   else entries)
    names = [entry for entry in entries if isinstance(entry, str)]
    strays = [entry for entry in entries if not isinstance(entry, str)]
    if not strays:
        return names, ''
    return names, (f'{len(strays)} of {len(entries)} entries are not text, '
                   f'the first is of type {type(strays[0]).__name__}')


def _find_unused(members: Mapping[str, Sequence[int]],
                 clips: Sequence[Clip]) -> List[Finding]:
    if not members:
        return [Finding('no-split', 'the file has no splits')]
    used = {i for indices in members.values() for i in indices}
    unused = [clip.name for clip in clips if clip.index not in used]
    if not unused:
        return []
    return [
        Finding('unused-clip', f'{count(len(unused), "clip")} in no split',
                unused)
    ]


def find_protocols(
        names: Sequence[str]) -> Tuple[List[Protocol], List[Finding]]:
    """Pair the splits: NAME_train with NAME_val or NAME_test.

    Args:
        names (Sequence[str]): Names of the splits.

    Returns:
        tuple[list[Protocol], list[Finding]]: In the order of the names; and
        a note about the splits without a partner.
    """
    sides: Dict[Tuple[str, str], Dict[bool, List[str]]] = {}
    for name in names:
        match = _PART.fullmatch(name)
        if match:
            side = sides.setdefault((match['stem'], match['number']),
                                    {True: [], False: []})
            side[match['part'].lower().startswith('train')].append(name)
    protocols = [
        Protocol(stem + number or 'all', train, test)
        for (stem, number), side in sides.items()
        for train in side[True] for test in side[False]
    ]
    paired = {p.train for p in protocols} | {p.test for p in protocols}
    alone = [name for name in names if name not in paired]
    if not alone:
        return protocols, []
    return protocols, [
        Finding('lone-split', f'{listing(alone)}: no partner for a protocol')
    ]


def clean_name(split: str) -> str:
    """Name of a split without leaks: 'xview_clean_val' for 'xview_val'."""
    match = _PART.fullmatch(split)
    assert match is not None, 'a protocol is made of names that match'
    stem = f'{match["stem"]}_' if match['stem'] else ''
    return f'{stem}clean_{match["part"]}{match["number"]}'
