# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Mends the faults that can be mended without guessing.

Warnings and notes are left as they are: they may be what a protocol wants.
"""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Set, Tuple

import numpy as np

from .clips import Clip, group_by_code
from .examine import Examination
from .findings import count, listing
from .splits import clean_name, names_of

# write_pose_pickle takes all other keys of a file as keywords.
_TAKEN = ('path', 'annotations', 'split')


@dataclass
class Fix:
    """Something that was mended.

    Attributes:
        code (str): The code of what it mends; 'leak' for all leaks of a
            protocol, 'bad-key' for entries of the file that go.
        message (str): What was done.
        clips (list[str]): The clips concerned.
        place (str): The split or protocol, '' for the whole file.
    """
    code: str
    message: str
    clips: List[str] = field(default_factory=list)
    place: str = ''


def mend(data: Mapping[str, Any],
         found: Examination) -> Tuple[Dict[str, Any], List[Fix]]:
    """Mend what is safe; the given data stay as they are.

    - Clips that cannot be used are dropped, from the splits as well.
    - Of clips with one name the first is kept if they are equal; if they
      differ, all are dropped, for nobody knows which one a split means.
    - Names without a clip, and entries that are no names, leave the splits.
    - ``total_frames`` becomes the number of frames, a label 3.0 becomes 3.
    - A protocol with leaking clips stays, and gets a sibling without them:
      ``xview_clean_*`` beside ``xview_*``.

    Args:
        data (Mapping): What :func:`load_annotations` returned.
        found (Examination): What :func:`examine` found in it.

    Returns:
        tuple[dict, list[Fix]]: The mended data, and what was done.
    """
    dropped, fixes = _choose_dropped(data['annotations'], found)
    annotations = []
    renumbered = []
    for clip, annotation in zip(found.clips, data['annotations']):
        if clip.index in dropped:
            continue
        mended = dict(
            annotation,
            frame_dir=clip.name,
            total_frames=annotation['keypoint'].shape[1])
        if _is_whole(annotation.get('label')):
            mended['label'] = int(annotation['label'])
            renumbered.append(clip.name)
        annotations.append(mended)
    if renumbered:
        fixes.append(
            Fix('label-invalid',
                f'{count(len(renumbered), "label")} made whole numbers',
                renumbered))
    kept = {annotation['frame_dir'] for annotation in annotations}
    split, about_splits = _mend_splits(data['split'], kept)
    extra = {key: value for key, value in data.items()
             if isinstance(key, str) and key not in _TAKEN}
    left_out = [repr(key) for key in data
                if key not in extra and key not in ('annotations', 'split')]
    if left_out:
        fixes.append(
            Fix('bad-key', f'keys that cannot be kept: {listing(left_out)}'))
    fixes += about_splits + _add_clean_protocols(split, found)
    return dict(split=split, annotations=annotations, **extra), fixes


def _choose_dropped(annotations: List[Mapping[str, Any]],
                    found: Examination) -> Tuple[Set[int], List[Fix]]:
    """Indices of the clips that go, and why."""
    dropped: Set[int] = set()
    fixes = []
    for code, group in group_by_code(found.clips).items():
        names = [clip.name for clip, _ in group]
        if code == 'total-frames':
            names = [clip.name for clip, _ in group if clip.usable]
            message = f'corrected in {count(len(names), "clip")}'
        else:
            dropped.update(clip.index for clip, _ in group)
            message = f'dropped {count(len(names), "clip")}'
        if names:
            fixes.append(Fix(code, message, names))
    by_name: Dict[str, List[Clip]] = {}
    for clip in found.clips:
        if clip.index not in dropped:
            by_name.setdefault(clip.name, []).append(clip)
    for name, (first, *others) in by_name.items():
        if not others:
            continue
        equal = all(_equal(annotations[first.index], annotations[x.index])
                    for x in others)
        gone = others if equal else [first, *others]
        dropped.update(clip.index for clip in gone)
        fixes.append(
            Fix(
                'duplicate-name', f'dropped {len(gone)} of {len(others) + 1} '
                'clips of one name, they are equal' if equal else
                f'dropped all {len(gone)} clips of one name, they differ',
                [name]))
    return dropped, fixes


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (np.array_equal(one['keypoint'], other['keypoint'])
            and repr(one.get('label')) == repr(other.get('label')))


def _is_whole(label: Any) -> bool:
    return (isinstance(label, (float, np.floating)) and label >= 0
            and float(label).is_integer())


def _mend_splits(split: Mapping[Any, Any],
                 kept: Set[str]) -> Tuple[Dict[str, List[str]], List[Fix]]:
    """The splits without names that no clip has any more."""
    mended = {}
    fixes = []
    for key, entries in split.items():
        names, stray = names_of(entries)
        unknown = [name for name in names if name not in kept]
        mended[str(key)] = [name for name in names if name in kept]
        if stray:
            fixes.append(
                Fix('bad-split', 'left out what is not a name',
                    place=str(key)))
        if unknown:
            fixes.append(
                Fix('missing-clip',
                    f'took out {count(len(unknown), "name")} without a clip',
                    unknown, str(key)))
    return mended, fixes


def _add_clean_protocols(split: Dict[str, List[str]],
                         found: Examination) -> List[Fix]:
    """Add siblings without leaks to ``split``, in place."""
    fixes = []
    for protocol in found.protocols:
        leaked = {
            name for finding in found.findings
            if finding.code.startswith('leak-')
            and finding.place == protocol.name for name in finding.clips
        }
        clean = [name for name in split[protocol.test] if name not in leaked]
        train, test = clean_name(protocol.train), clean_name(protocol.test)
        if not leaked or not clean or test in split:
            continue
        split[train] = list(split[protocol.train])
        split[test] = clean
        fixes.append(
            Fix('leak', f'added {train} ({len(split[train])}) and {test} '
                f'({len(clean)} of {len(split[protocol.test])} clips)',
                sorted(leaked), protocol.name))
    return fixes
