# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The figures of a file, for the report, the picture and scripts."""
from typing import Any, Dict, List, Optional

import numpy as np

from .body import direction_name, guess_unit
from .clips import Clip
from .content import main_direction
from .examine import Examination
from .findings import SEVERITIES

_BINS = 12

CLEAN, FAULTS, UNREADABLE = 'clean', 'faults', 'unreadable'


def summarise(found: Examination) -> Dict[str, Any]:
    """What a file holds and what was found, as JSON can hold it."""
    clips = found.clips
    return dict(
        verdict=CLEAN if found.clean else FAULTS,
        counts={x: len(found.of_severity(x)) for x in SEVERITIES},
        clips=len(clips),
        usable=sum(clip.usable for clip in clips),
        classes=found.classes,
        body=_body(found),
        frames=_lengths(clips),
        persons=_count_values(clip.measures.present for clip in clips
                              if clip.measures is not None),
        splits={
            name: _split([clips[i] for i in indices])
            for name, indices in found.members.items()
        },
        protocols=[vars(protocol) for protocol in found.protocols],
        findings=[finding.as_dict() for finding in found.findings])


def _body(found: Examination) -> Dict[str, Any]:
    body = found.body
    measured = [c.measures for c in found.clips if c.measures is not None]
    bones = [m.bone for m in measured if np.isfinite(m.bone)]
    up = main_direction(found.clips)
    return dict(
        layout=body.layout and body.layout.name,
        layout_guessed=body.guessed,
        joints=body.joints,
        coordinates=body.coordinates,
        size=_plain(body.size) if measured else None,
        bone=_plain(np.median(bones)) if bones else None,
        unit=guess_unit(body.size, body.coordinates) if measured else None,
        up=None if up is None else direction_name(up))


def _lengths(clips: List[Clip]) -> Optional[Dict[str, Any]]:
    lengths = np.array(
        [c.measures.frames for c in clips if c.measures is not None])
    if not lengths.size:
        return None
    width = max(1, -(-int(np.ptp(lengths) + 1) // _BINS))
    edges = np.arange(lengths.min(), lengths.max() + width + 1, width)
    counts, _ = np.histogram(lengths, edges)
    return dict(
        min=int(lengths.min()),
        median=float(np.median(lengths)),
        max=int(lengths.max()),
        histogram=dict(edges=edges.tolist(), counts=counts.tolist()))


def _split(clips: List[Clip]) -> Dict[str, Any]:
    subjects = {clip.subject for clip in clips} - {None}
    lengths = [c.measures.frames for c in clips if c.measures is not None]
    return dict(
        clips=len(clips),
        labels=_count_values(clip.label for clip in clips
                             if clip.label is not None),
        subjects=sorted(subjects),
        persons=_count_values(clip.measures.present for clip in clips
                              if clip.measures is not None),
        median_frames=float(np.median(lengths)) if lengths else None)


def _count_values(values: Any) -> Dict[str, int]:
    counts: Dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return {str(value): counts[value] for value in sorted(counts)}


def _plain(value: float) -> Optional[float]:
    return float(f'{value:.4g}') if np.isfinite(value) else None
