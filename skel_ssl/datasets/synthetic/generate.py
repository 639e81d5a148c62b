# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Synthetic skeleton clips in MMAction2's pose format.

Every clip draws from a random stream of its own, keyed by what is in its
name, so it does not depend on which clips were made before it.
"""
import pickle
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Union

import numpy as np

from skel_ssl.datasets.layouts import NTU25
from skel_ssl.utils.files import replacing

from . import sensor
from .acting import perform
from .motions import MOTIONS
from .subjects import Subject, make_subject

VERSION = 1  # raise it whenever the same seed gives other clips
HELD_OUT_CAMERA = 1
DECIMALS = 4  # a tenth of a millimetre


class Recording(NamedTuple):
    """Which clip; the last four count from 1, as in NTU RGB+D.

    Attributes:
        seed (int): Seed of the data set.
        label (int): Class, from 0.
        subject (int): Who acts.
        camera (int): Which camera sees it.
        repetition (int): Which of the takes.
    """
    seed: int
    label: int
    subject: int
    camera: int
    repetition: int

    @property
    def frame_dir(self) -> str:
        return (f'S001C{self.camera:03d}P{self.subject:03d}'
                f'R{self.repetition:03d}A{self.label + 1:03d}')


def list_recordings(seed: int, num_subjects: int,
                    repetitions: int) -> List[Recording]:
    """Every class by every subject, camera and repetition, in that order.

    Raises:
        ValueError: If there are too few subjects to split, or an odd
            number of them.
    """
    if num_subjects < 4 or num_subjects % 2:
        raise ValueError(
            f'num_subjects={num_subjects}, but each half of the cross-subject '
            'split needs the same number of people, two at least: use an '
            'even number from 4 on')
    return [
        Recording(seed, label, subject, camera, repetition)
        for label in range(len(MOTIONS))
        for subject in range(1, num_subjects + 1)
        for camera in range(1, len(sensor.CAMERA_YAWS) + 1)
        for repetition in range(1, repetitions + 1)
    ]


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=(VERSION, *key)))


def get_subject(seed: int, number: int) -> Subject:
    """The person behind the P of a clip's name."""
    return make_subject(_stream(seed, number))


def partner_of(subject: int, num_subjects: int) -> int:
    """The next person of the same half of the cross-subject split."""
    return (subject + 1) % num_subjects + 1


def make_clip(recording: Recording, num_subjects: int) -> Dict[str, Any]:
    """Make one clip.

    Returns:
        dict: An annotation of the pose pickle: ``frame_dir``, ``label``,
        ``total_frames``, ``keypoint`` ``(M, T, 25, 3)`` float32 in metres
        in the camera frame, ``subject``, ``camera`` and, for two people,
        ``partner``.
    """
    motion = MOTIONS[recording.label]
    numbers = [recording.subject]
    if motion.contact:
        numbers.append(partner_of(recording.subject, num_subjects))
    people = [get_subject(recording.seed, number) for number in numbers]
    rng = _stream(*recording)
    scene = perform(motion, people, rng)
    keypoint = sensor.record(scene, recording.camera, rng)
    clip = dict(
        frame_dir=recording.frame_dir,
        label=recording.label,
        total_frames=keypoint.shape[1],
        keypoint=np.ascontiguousarray(keypoint.round(DECIMALS), np.float32),
        subject=recording.subject,
        camera=recording.camera)
    if motion.contact:
        clip['partner'] = numbers[1]
    return clip


def make_splits(clips: Iterable[Dict[str, Any]]) -> Dict[str, List[str]]:
    """Cross-subject (odd numbers train) and cross-view splits."""
    split: Dict[str, List[str]] = {
        f'{protocol}_{part}': []
        for protocol in ('xsub', 'xview') for part in ('train', 'val')
    }
    for clip in clips:
        xsub = 'train' if clip['subject'] % 2 else 'val'
        xview = 'val' if clip['camera'] == HELD_OUT_CAMERA else 'train'
        split[f'xsub_{xsub}'].append(clip['frame_dir'])
        split[f'xview_{xview}'].append(clip['frame_dir'])
    return split


def make_dataset(
    seed: int = 0,
    num_subjects: int = 20,
    repetitions: int = 2,
    progress: Callable[[List[Recording]], Iterable[Recording]] = iter
) -> Dict[str, Any]:
    """Make a data set.

    Args:
        seed (int): Same seed and same version of the generator, same
            clips.
        num_subjects (int): People, an even number.
        repetitions (int): Takes of each class by each person and camera.
        progress (Callable): Wraps the list of recordings, to show how far
            it is; say :func:`rich.progress.track`.

    Returns:
        dict: The content of a pose pickle.
    """
    clips = [
        make_clip(recording, num_subjects) for recording in progress(
            list_recordings(seed, num_subjects, repetitions))
    ]
    return dict(
        split=make_splits(clips),
        annotations=clips,
        classes=[motion.name for motion in MOTIONS],
        joints=list(NTU25.joints),
        synthetic=True,
        generator=dict(
            name='skel_ssl.datasets.synthetic', version=VERSION, seed=seed))


def save(dataset: Dict[str, Any], path: Union[str, Path]) -> Path:
    """Write a data set; a reader never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open('wb') as file:
        pickle.dump(dataset, file, protocol=4)
    return path
