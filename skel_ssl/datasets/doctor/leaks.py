# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Leaks: what is tested on was trained on."""
import re
from typing import Dict, List, Mapping, Sequence

import numpy as np

from .clips import Clip
from .findings import Finding, count, listing
from .prints import PrintIndex
from .splits import Protocol, clean_name

# From so many copied frames on, or such a share, a clip is not its own.
_MIN_FRAMES, _MIN_SHARE = 8, .5

# What a protocol promises to keep apart, by its name; a cv1 is a fold of a
# cross-validation.
_PROMISES = (
    ('subject', re.compile(
        r'(?:^|_|\d)(?:x_?sub(?:j|ject)?(?:_|\d|$)|cs(?:_|$))|cross.?sub')),
    ('camera', re.compile(
        r'(?:^|_|\d)(?:x_?view(?:_|\d|$)|cv(?:_|$))|cross.?view')),
    ('setup', re.compile(r'(?:^|_|\d)x_?set(?:up)?(?:_|\d|$)|cross.?set')),
)


def index_prints(clips: Sequence[Clip]) -> PrintIndex:
    """Make the prints of all clips searchable."""
    return PrintIndex([
        np.empty(0, np.uint64) if clip.measures is None else
        clip.measures.prints for clip in clips
    ])


def find_copies(clips: Sequence[Clip], index: PrintIndex) -> List[Finding]:
    """Clips with equal poses under different names."""
    first: Dict[int, Clip] = {}
    pairs = []
    for clip, group in zip(clips, index.groups):
        original = first.setdefault(group, clip)
        if group >= 0 and original.name != clip.name:
            pairs.append((clip, original))
    other = [(clip, original) for clip, original in pairs
             if None not in (clip.label, original.label)
             and clip.label != original.label]
    findings = []
    if pairs:
        findings.append(
            Finding('copied-clip',
                    f'{count(len(pairs), "clip")} equal to another one',
                    [clip.name for clip, _ in pairs],
                    [f'equals {original.name}' for _, original in pairs]))
    if other:
        findings.append(
            Finding('copy-other-label', f'{count(len(other), "clip")} equal '
                    'to one with another label',
                    [clip.name for clip, _ in other], [
                        f'label {clip.label}; {original.name} has label '
                        f'{original.label}' for clip, original in other
                    ]))
    return findings


def find_leaks(protocol: Protocol, members: Mapping[str, Sequence[int]],
               clips: Sequence[Clip], index: PrintIndex) -> List[Finding]:
    """Everything that a protocol's two sides share.

    Args:
        protocol (Protocol): The two splits.
        members (Mapping[str, Sequence[int]]): The clips of every split.
        clips (Sequence[Clip]): All clips.
        index (PrintIndex): Their prints.
    """
    sides = np.zeros((2, len(clips)), bool)
    for side, name in zip(sides, (protocol.train, protocol.test)):
        side[np.array(members[name], int)] = True
    train, test = sides
    by_name = np.flatnonzero(train & test)
    findings = []
    if by_name.size:
        findings.append(
            _leak('leak-name', protocol, by_name, test, clips,
                  [f'is in {protocol.train}, too'] * len(by_name)))
    findings += _find_copied(protocol, train, test, clips, index)
    clean = clean_name(protocol.test)
    if clean in members:
        for finding in findings:
            finding.message += f'; the file has {clean}, too'
    for thing, pattern in _PROMISES:
        if pattern.search(protocol.name.lower()):
            findings += _find_shared(protocol, thing, train, test, clips)
    return findings


def _find_copied(protocol: Protocol, train: np.ndarray, test: np.ndarray,
                 clips: Sequence[Clip], index: PrintIndex) -> List[Finding]:
    """Clips that are in the training set under another name, or partly."""
    groups = set(index.groups[train].tolist()) - {-1}
    other = test & ~train
    equal = other & np.isin(index.groups, list(groups))
    shared = index.count_shared(train)
    partly = other & ~equal & (shared > 0) & (
        (shared >= _MIN_FRAMES) | (shared >= _MIN_SHARE * index.sizes))
    findings = []
    for code, leaked in (('leak-values', equal), ('leak-frames', partly)):
        places = np.flatnonzero(leaked)
        if not places.size:
            continue
        matches = [clips[i].name for i in index.best_matches(places, train)]
        details = [f'equals {match}' for match in matches]
        if code == 'leak-frames':
            details = [
                f'{shared[i]} of {index.sizes[i]} poses are in training, '
                f'most in {match}' for i, match in zip(places, matches)
            ]
        findings.append(_leak(code, protocol, places, test, clips, details))
    return findings


def _find_shared(protocol: Protocol, thing: str, train: np.ndarray,
                 test: np.ndarray, clips: Sequence[Clip]) -> List[Finding]:
    """Subjects, cameras or setups on both sides, though it is forbidden."""
    who = [getattr(clip, thing) for clip in clips]
    trained = {who[i] for i in np.flatnonzero(train)} - {None}
    tested = np.flatnonzero(test)
    if not trained or all(who[i] is None for i in tested):
        return [
            Finding('group-unknown',
                    f'no {thing} is known: what its name promises cannot be '
                    'checked', place=protocol.name)
        ]
    leaked = [i for i in tested if who[i] in trained and not train[i]]
    if not leaked:
        return []
    both = sorted({who[i] for i in leaked})
    return [
        Finding(
            f'leak-{thing}', f'{count(len(both), thing)} ({listing(both)}) '
            f'on both sides, with {len(leaked)} of {len(tested)} clips of '
            f'{protocol.test}', [clips[i].name for i in leaked],
            [f'{thing} {who[i]}' for i in leaked], protocol.name)
    ]


def _leak(code: str, protocol: Protocol, leaked: np.ndarray,
          test: np.ndarray, clips: Sequence[Clip],
          details: List[str]) -> Finding:
    how = {
        'leak-name': 'are trained on as well',
        'leak-values': f'are in {protocol.train} under another name',
        'leak-frames': f'share frames with clips of {protocol.train}'
    }[code]
    return Finding(
        code, f'{len(leaked)} of {test.sum()} clips of {protocol.test} {how}',
        [clips[i].name for i in leaked], details, protocol.name)
