# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Faults to plant in a pose pickle, each with the clips it concerns."""
import copy
from typing import Any, Callable, Dict, List, Set

import numpy as np

Clip = Dict[str, Any]


class Patient:
    """A data set to damage; every clip is taken for one fault only.

    Args:
        data (dict): A clean pose pickle with the protocol ``xsub``; it is
            copied.
    """

    def __init__(self, data: Dict[str, Any]) -> None:
        self.data = copy.deepcopy(data)
        self.split = self.data['split']
        by_name = {x['frame_dir']: x for x in self.data['annotations']}
        self._free = {
            side: [by_name[name] for name in self.split[f'xsub_{side}']]
            for side in ('train', 'val')
        }

    def take(self, side: str = 'train') -> Clip:
        """The next clip of one person with 20 frames or more."""
        return next(self._free[side].pop(i)
                    for i, clip in enumerate(self._free[side])
                    if clip['keypoint'].shape[:2] >= (1, 20)
                    and len(clip['keypoint']) == 1)

    def add(self, side: str, original: Clip, **changes: Any) -> Set[str]:
        """Add a changed copy of a clip to a split."""
        clip = dict(original, **changes)
        clip['total_frames'] = clip['keypoint'].shape[1]
        self.data['annotations'].append(clip)
        self.split[f'xsub_{side}'].append(clip['frame_dir'])
        return {clip['frame_dir']}


Plant = Callable[[Patient], Set[str]]


def _edit(change: Callable[[np.ndarray], Any]) -> Plant:
    """A plant that changes the keypoints of a training clip."""

    def plant(patient: Patient) -> Set[str]:
        clip = patient.take()
        keypoint = clip['keypoint'].copy()
        changed = change(keypoint)
        clip['keypoint'] = keypoint if changed is None else changed
        if clip['keypoint'].ndim == 4:
            clip['total_frames'] = clip['keypoint'].shape[1]
        return {clip['frame_dir']}

    return plant


def _put(place: tuple, value: float) -> Plant:
    return _edit(lambda keypoint: keypoint.__setitem__(place, value))


def _set(key: str, value: Any) -> Plant:

    def plant(patient: Patient) -> Set[str]:
        clip = patient.take()
        clip[key] = value
        return {clip['frame_dir']}

    return plant


def no_name(patient: Patient) -> Set[str]:
    clip = patient.take()
    for names in patient.split.values():
        if clip['frame_dir'] in names:
            names.remove(clip['frame_dir'])
    del clip['frame_dir']
    index = next(i for i, x in enumerate(patient.data['annotations'])
                 if x is clip)
    return {f'#{index}'}


def wrong_total_frames(patient: Patient) -> Set[str]:
    clip = patient.take()
    clip['total_frames'] += 1
    return {clip['frame_dir']}


def no_label(patient: Patient) -> Set[str]:
    clip = patient.take()
    del clip['label']
    return {clip['frame_dir']}


def no_keypoint(patient: Patient) -> Set[str]:
    clip = patient.take()
    del clip['keypoint']
    return {clip['frame_dir']}


def same_name(patient: Patient) -> Set[str]:
    clip, other = patient.take(), patient.take()
    twin = dict(other, frame_dir=clip['frame_dir'])
    patient.data['annotations'].append(twin)
    return {clip['frame_dir']}


def unknown_name(patient: Patient) -> Set[str]:
    patient.split['xsub_val'].append('who is that')
    return {'who is that'}


def nobody_in_split(patient: Patient) -> Set[str]:
    patient.split['xview_val'] = []
    return set()


def number_in_split(patient: Patient) -> Set[str]:
    patient.split['xsub_val'].append(3)
    return set()


def twice_in_split(patient: Patient) -> Set[str]:
    name = patient.split['xsub_train'][0]
    patient.split['xsub_train'].append(name)
    return {name}


def in_both_splits(patient: Patient) -> Set[str]:
    name = patient.take()['frame_dir']
    patient.split['xsub_val'].append(name)
    return {name}


def copied_into_test(patient: Patient) -> Set[str]:
    return patient.add('val', patient.take(), frame_dir='copy', subject=None)


def moved_into_test(patient: Patient) -> Set[str]:
    """Another place in the room, and half of the frames are its own."""
    clip, other = patient.take(), patient.take('val')
    frames = clip['keypoint'].shape[1] // 2
    moved = clip['keypoint'][:, :frames] + np.float32([.371, -.2, 1.13])
    mixed = np.concatenate([moved, other['keypoint'][:, -frames:]], axis=1)
    return patient.add('val', other, frame_dir='moved', keypoint=mixed)


def trained_subject(patient: Patient) -> Set[str]:
    clip, tested = patient.take(), patient.take('val')
    tested['subject'] = clip['subject']
    return {tested['frame_dir']}


def other_label(patient: Patient) -> Set[str]:
    clip = patient.take()
    classes = len(patient.data['classes'])
    return patient.add('train', clip, frame_dir='other label',
                       label=(clip['label'] + 1) % classes)


def unused(patient: Patient) -> Set[str]:
    clip = patient.take()
    patient.data['annotations'].append(
        dict(clip, frame_dir='unused', keypoint=clip['keypoint'] * 1.1))
    return {'unused'}


def wrong_score(patient: Patient) -> Set[str]:
    clip = patient.take()
    clip['keypoint_score'] = np.ones(clip['keypoint'].shape[1:3])
    return {clip['frame_dir']}


def no_score(patient: Patient) -> Set[str]:
    clip = patient.take()
    clip['keypoint_score'] = np.zeros(clip['keypoint'].shape[:3])
    return {clip['frame_dir']}


def with_slots(*factors: float) -> Plant:
    """Slots for persons, each the person times a number."""
    return _edit(lambda keypoint: np.concatenate(
        [keypoint * np.float32(factor) for factor in factors]))


def _fling(keypoint: np.ndarray) -> None:
    keypoint[0, 5, 3] += 20


def _stretch(keypoint: np.ndarray) -> None:
    keypoint[0, 5, 11, 0] += 1.3  # the right hand


def _jump(keypoint: np.ndarray) -> None:
    keypoint[0, 10:, :, 0] += 3


PLANTS: Dict[str, List[Plant]] = {
    'not-finite': [_put((0, 3, 4, 1), np.nan), _put((0, 0, 0, 0), -np.inf)],
    'nobody': [_put((), 0)],
    'no-frames': [_edit(lambda keypoint: keypoint[:, :0])],
    'bad-array': [no_keypoint, _edit(lambda keypoint: keypoint[0]),
                  _edit(lambda keypoint: keypoint.astype(object))],
    'no-name': [no_name],
    'total-frames': [wrong_total_frames, _set('total_frames', 'many')],
    'joint-count': [_edit(lambda keypoint: keypoint[:, :, :-1])],
    'coordinate-count': [_edit(lambda keypoint: keypoint[..., :2])],
    'score': [wrong_score],
    'unseen': [no_score],
    'duplicate-name': [same_name],
    'label-missing': [no_label],
    'label-invalid': [_set('label', -1), _set('label', 2.5),
                      _set('label', 'walk')],
    'label-beyond-classes': [_set('label', 500)],
    'missing-clip': [unknown_name],
    'empty-split': [nobody_in_split],
    'bad-split': [number_in_split],
    'repeated-in-split': [twice_in_split],
    'unused-clip': [unused],
    'leak-name': [in_both_splits],
    'leak-values': [copied_into_test],
    'leak-frames': [moved_into_test],
    'leak-subject': [trained_subject],
    'copy-other-label': [other_label],
    'absent-person': [with_slots(1, 0)],
    'copied-person': [with_slots(1, 1)],
    'empty-first-person': [with_slots(0, 1)],
    'many-persons': [with_slots(1, 1.1, .9)],
    'short-clip': [_edit(lambda keypoint: keypoint[:, :6])],
    'frozen': [_edit(lambda keypoint: keypoint[:, 8:9].repeat(20, 1))],
    'gap-frames': [_put((slice(None), slice(4, 7)), 0)],
    'empty-ends': [_put((slice(None), slice(2)), 0)],
    'mixed-units': [_edit(lambda keypoint: keypoint * 1000)],
    'mixed-up-axis': [_edit(lambda keypoint: keypoint[..., [0, 2, 1]])],
    'flung-joint': [_edit(_fling)],
    'stretched-bone': [_edit(_stretch)],
    'person-jump': [_edit(_jump)],
}
