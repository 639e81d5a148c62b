# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Findings about clips one by one: use, persons, time, bodies."""
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from .body import Body, direction_name, guess_unit
from .clips import Clip, group_by_code
from .findings import FAULT, KINDS, Finding, count, listing
from .measure import Measures

_SHORT = 10  # frames
_OTHER_SIZE = 8.  # times, or a part of, the usual size of a body
_UPRIGHT = .8  # share of the poses that must agree on another up axis
_MANY_TURNED = .01  # share of the clips from which on it is a fault

Say = Callable[[Measures], Union[str, int, None]]

# What to say about a clip; None, 0 or False: nothing.
_CHECKS: Tuple[Tuple[str, Say], ...] = (
    ('absent-person', lambda m: m.absent and f'{m.absent} of {m.slots} slots'),
    ('copied-person', lambda m: m.copies and f'{m.copies} of {m.slots} slots'),
    ('empty-first-person', lambda m: m.first_empty and f'{m.slots} slots'),
    ('many-persons', lambda m: m.slots > 2 and f'{m.slots} slots'),
    ('short-clip',
     lambda m: m.frames < _SHORT and count(m.frames, 'frame')),
    ('frozen', lambda m: m.frozen and count(m.frames, 'equal frame')),
    ('gap-frames', lambda m: m.gap and f'{m.gap} of {m.frames} frames'),
    ('empty-ends', lambda m: m.ends and f'{m.ends} of {m.frames} frames'),
    ('flung-joint', lambda m: m.flung and count(m.flung, 'pose')),
    ('stretched-bone', lambda m: m.stretched and count(m.stretched, 'pose')),
    ('person-jump', lambda m: m.jumps and count(m.jumps, 'time')),
)


def _measures(clip: Clip) -> Measures:
    assert clip.measures is not None, f'{clip.name} cannot be used'
    return clip.measures


def find_unusable(clips: Sequence[Clip]) -> List[Finding]:
    """What makes clips unusable, or must be mended."""
    return [
        _about(code, [clip for clip, _ in group],
               [text for _, text in group])
        for code, group in group_by_code(clips).items()
    ]


def find_oddities(clips: Sequence[Clip]) -> List[Finding]:
    """Persons, time and outliers of clips that can be used."""
    findings = []
    measured = [clip for clip in clips if clip.measures is not None]
    for code, say in _CHECKS:
        said = [(clip, say(_measures(clip))) for clip in measured]
        told = [(clip, str(text)) for clip, text in said if text]
        if told:
            findings.append(
                _about(code, [clip for clip, _ in told],
                       [text for _, text in told]))
    unseen = [clip for clip in measured if clip.unseen]
    if unseen:
        findings.append(_about('unseen', unseen))
        if len(unseen) == len(clips):
            findings[-1].severity = FAULT
    return findings


def find_body_faults(clips: Sequence[Clip], body: Body) -> List[Finding]:
    """Layout, units and up axis."""
    findings = []
    clips = [clip for clip in clips if clip.measures is not None]
    if body.layout is None and clips:
        findings.append(
            Finding(
                'layout-unknown',
                f'no layout was given and no preset has {body.joints} joints: '
                'bones were not looked at'))
    unit = guess_unit(body.size, body.coordinates)
    if clips and body.coordinates == 3 and unit != 'metres':
        said = f'these look like {unit}' if unit else 'no known unit'
        findings.append(
            Finding(
                'units', f'a body is {body.size:.4g} long in the middle of '
                f'the file, {said}; the transforms expect metres'))
    findings += _other_sizes(clips, body)
    findings += _other_up_axes(clips)
    return findings


def main_direction(clips: Sequence[Clip]) -> Optional[int]:
    """The direction that most poses of most clips have upwards.

    Returns:
        int, optional: As :meth:`Body.up_votes` counts; None if it cannot be
        said.
    """
    votes = [clip.measures.up for clip in clips
             if clip.measures is not None and clip.measures.up.any()]
    if not votes:
        return None
    winners = np.bincount([vote.argmax() for vote in votes])
    return int(winners.argmax())


def _other_sizes(clips: Sequence[Clip], body: Body) -> List[Finding]:
    if body.coordinates == 2:  # a body fills as much of a picture as it likes
        return []
    odd = [clip for clip in clips
           if not body.size / _OTHER_SIZE <= _measures(clip).span <=
           body.size * _OTHER_SIZE]
    if not odd:
        return []
    return [
        _about(
            'mixed-units', odd,
            [f'a body is {_measures(clip).span:.3g} long, {body.size:.3g} '
             'elsewhere' for clip in odd])
    ]


def _other_up_axes(clips: Sequence[Clip]) -> List[Finding]:
    main = main_direction(clips)
    if main is None:
        return []
    # one upright pose is enough: people fall, lie and bend down
    votes = [(clip, _measures(clip).up) for clip in clips]
    turned = [(clip, up) for clip, up in votes if up.any() and not up[main]
              and up.max() >= _UPRIGHT * up.sum()]
    odd = [clip for clip, _ in turned]
    if not odd:
        return []
    finding = _about(
        'mixed-up-axis', odd, [
            f'{direction_name(up.argmax())} is up, '
            f'{direction_name(main)} elsewhere' for _, up in turned
        ])
    if len(odd) >= _MANY_TURNED * len(clips):
        finding.severity = FAULT
    return [finding]


def _about(code: str, clips: Sequence[Clip],
           details: Sequence[str] = ()) -> Finding:
    return Finding(
        code, f'{KINDS[code].meaning}: {count(len(clips), "clip")}',
        [clip.name for clip in clips], list(details))


def find_names(clips: Sequence[Clip]) -> List[Finding]:
    """Names that several clips have."""
    times: Dict[str, int] = {}
    for clip in clips:
        times[clip.name] = times.get(clip.name, 0) + 1
    twice = [name for name, number in times.items() if number > 1]
    if not twice:
        return []
    return [
        Finding('duplicate-name',
                f'{count(len(twice), "name")} for several clips: '
                f'{listing(twice)}', twice,
                [count(times[name], 'clip') for name in twice])
    ]
