# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Northwestern-UCLA Multiview Action3D: the public JSON files.

Wang et al., Cross-view Action Modeling, Learning and Recognition, CVPR 2014.
"""
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Set

import numpy as np

from ..layouts import KINECT20
from .errors import BadFileError

CLASSES = ('pick up with one hand', 'pick up with two hands', 'drop trash',
           'walk around', 'sit down', 'stand up', 'donning', 'doffing',
           'throw', 'carry')
# The numbers of these classes in the files' names.
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
_NAME = re.compile(r'a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)', re.ASCII)
_VIEWS = (1, 2, 3)
# Of the public release, 1484 clips.
SIZES = dict(
    xview1_train=968,
    xview1_val=516,
    xview2_train=980,
    xview2_val=504,
    xview3_train=1020,
    xview3_val=464,
    xview_train=1020,
    xview_val=464,
    xview_clean_train=1020,
    xview_clean_val=369,
    xview1_clean_train=968,
    xview1_clean_val=507,
    xsub_train=724,
    xsub_val=760)


def read_clip(path: Path) -> Iterator[Dict[str, Any]]:
    """Make the annotation of a file, the only one that it has.

    Args:
        path (Path): ``a<action>_s<subject>_e<episode>_v<view>.json``, with
            the joints as ``skeletons``.

    Yields:
        dict: ``frame_dir``, ``label``, ``total_frames``, ``keypoint`` of
        shape (1, T, 20, 3), float32, metres, and ``subject``, ``view``,
        ``episode`` from the name.

    Raises:
        BadFileError: If the file cannot be used.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise BadFileError('its name is not like a01_s02_e03_v01.json')
    action, subject, episode, view = map(int, match.groups())
    if action not in _ACTIONS or view not in _VIEWS:
        raise BadFileError(
            f'its name says action {action} and view {view}: actions are '
            f'{_ACTIONS}, views {_VIEWS}')
    joints = _read_joints(path)
    yield dict(
        frame_dir=path.stem,
        label=_ACTIONS.index(action),
        total_frames=len(joints),
        keypoint=joints[None],
        subject=subject,
        view=view,
        episode=episode)


def _read_joints(path: Path) -> np.ndarray:
    """The joints in all frames, (T, 20, 3)."""
    try:
        content = json.loads(path.read_bytes())
        joints = np.array(content['skeletons'], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError,
            RecursionError) as error:
        raise BadFileError(
            'it is not JSON with the joints of each frame as "skeletons" '
            f'({type(error).__name__}: {error})') from None
    if joints.shape[1:] != (KINECT20.num_joints, 3) or not len(joints):
        raise BadFileError(
            f'"skeletons" has shape {joints.shape}, not (frames, '
            f'{KINECT20.num_joints}, 3)')
    if content.get('file_name', path.stem) != path.stem:
        raise BadFileError(
            f'it says that it is {content["file_name"]!r}: it was renamed, '
            'or overwritten with another one')
    with np.errstate(over='ignore'):  # whoever reads infinity refuses it
        return joints.astype(np.float32)


def make_splits(clips: Iterable[Dict[str, Any]]) -> Dict[str, List[str]]:
    """Divide clips by view and by subject.

    ``xview<n>`` tests on view n and trains on the two others, ``xview`` is
    ``xview3``, as in the literature; ``xsub`` trains on odd subjects. In the
    release some files are copies of others, as a whole or in part, taken for
    another view: ``xview_clean`` and ``xview1_clean`` leave those test clips
    out that share a frame, value for value, with a training clip.

    Args:
        clips (Iterable[dict]): See :func:`read_clip`.

    Returns:
        dict[str, list[str]]: The names of each split.
    """
    views: Dict[int, Dict[str, Set[bytes]]] = {view: {} for view in _VIEWS}
    subjects = {}
    for clip in clips:
        subjects[clip['frame_dir']] = clip['subject']
        views[clip['view']][clip['frame_dir']] = {
            frame.tobytes() for frame in clip['keypoint'][0]}
    splits = {}
    for view in _VIEWS:
        splits[f'xview{view}_train'] = [
            name for name in subjects if name not in views[view]]
        splits[f'xview{view}_val'] = list(views[view])
    for name, view in (('xview', 3), ('xview_clean', 3), ('xview1_clean', 1)):
        splits[f'{name}_train'] = splits[f'xview{view}_train']
        splits[f'{name}_val'] = splits[f'xview{view}_val']
        if name.endswith('clean'):
            splits[f'{name}_val'] = _without_copies(views, view)
    for part, odd in (('train', 1), ('val', 0)):
        splits[f'xsub_{part}'] = [
            name for name, subject in subjects.items() if subject % 2 == odd]
    return splits


def _without_copies(views: Dict[int, Dict[str, Set[bytes]]],
                    tested: int) -> List[str]:
    """The clips of a view that share no frame with the other views."""
    seen = set().union(*(frames for view in _VIEWS if view != tested
                         for frames in views[view].values()))
    return [name for name, frames in views[tested].items()
            if frames.isdisjoint(seen)]
