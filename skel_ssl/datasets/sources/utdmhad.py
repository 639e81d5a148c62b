# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""UTD-MHAD: the skeletons, which are MATLAB files.

Chen et al., UTD-MHAD: A Multimodal Dataset for Human Action Recognition
Utilizing a Depth Camera and a Wearable Inertial Sensor, ICIP 2015.
"""
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List

import numpy as np
from scipy.io import loadmat

from .errors import BadFileError

CLASSES = ('swipe left', 'swipe right', 'wave', 'clap', 'throw', 'arm cross',
           'basketball shoot', 'draw x', 'draw circle clockwise',
           'draw circle counter clockwise', 'draw triangle', 'bowling',
           'boxing', 'baseball swing', 'tennis swing', 'arm curl',
           'tennis serve', 'push', 'knock', 'catch', 'pickup and throw',
           'jog', 'walk', 'sit to stand', 'stand to sit', 'lunge', 'squat')
# Of the public release, 861 clips.
SIZES = dict(xsub_train=431, xsub_val=430)
_NAME = re.compile(r'a(\d+)_s(\d+)_t(\d+)_skeleton', re.ASCII)
# The files begin with the head and go down to the hips; kinect20 goes up.
_ORDER = (3, 2, 1, 0, *range(4, 20))


def read_clip(path: Path) -> Iterator[Dict[str, Any]]:
    """Make the annotation of a file, the only one that it has.

    Args:
        path (Path): ``a<action>_s<subject>_t<trial>_skeleton.mat``, with the
            joints as ``d_skel``, (20, 3, T).

    Yields:
        dict: ``frame_dir``, ``label``, ``total_frames``, ``keypoint`` of
        shape (1, T, 20, 3) in the order of ``kinect20``, float32, metres,
        and ``subject``, ``trial`` from the name.

    Raises:
        BadFileError: If the file cannot be used.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise BadFileError('its name is not like a1_s2_t3_skeleton.mat')
    action, subject, trial = map(int, match.groups())
    if not 1 <= action <= len(CLASSES):
        raise BadFileError(
            f'its name says action {action}: they are 1 to {len(CLASSES)}')
    joints = _read_joints(path)
    yield dict(
        frame_dir=f'a{action:02}_s{subject:02}_t{trial:02}',
        label=action - 1,
        total_frames=len(joints),
        keypoint=joints[None],
        subject=subject,
        trial=trial)


def _read_joints(path: Path) -> np.ndarray:
    """The joints in all frames, (T, 20, 3)."""
    with path.open('rb') as file:
        try:
            content = loadmat(file, variable_names=['d_skel'])
        except Exception as error:  # a damaged one raises nearly anything
            raise BadFileError(
                'it is not a MATLAB file, or damaged '
                f'({type(error).__name__}: {error})') from None
    if 'd_skel' not in content:
        raise BadFileError('there is no "d_skel" in it')
    joints = content['d_skel']
    if (joints.ndim != 3 or joints.shape[:2] != (len(_ORDER), 3)
            or joints.dtype.kind != 'f' or not joints.size):
        raise BadFileError(
            f'"d_skel" has shape {joints.shape} and type {joints.dtype}, not '
            f'({len(_ORDER)}, 3, frames) and float')
    ordered = joints.transpose(2, 0, 1)[:, _ORDER]
    with np.errstate(over='ignore'):  # whoever reads infinity refuses it
        return np.ascontiguousarray(ordered, np.float32)


def make_splits(clips: Iterable[Dict[str, Any]]) -> Dict[str, List[str]]:
    """Train on the odd subjects, test on the even ones.

    Args:
        clips (Iterable[dict]): See :func:`read_clip`.
    """
    splits: Dict[str, List[str]] = dict(xsub_train=[], xsub_val=[])
    for clip in clips:
        part = 'train' if clip['subject'] % 2 else 'val'
        splits[f'xsub_{part}'].append(clip['frame_dir'])
    return splits
