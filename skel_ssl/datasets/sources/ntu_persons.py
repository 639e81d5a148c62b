# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From the bodies of an NTU RGB+D file to the persons of a clip.

The sensor takes chairs for people, loses a person and finds it again under
another number. The literature has two traditions of dealing with that, and
figures are comparable only within one of them:

- :func:`select_persons`, of ST-GCN, MMAction2 and pyskl, and
- :func:`denoise_persons`, of SGN, CTR-GCN and what builds on them.
"""
from typing import List, NamedTuple, Tuple

import numpy as np

from .errors import BadFileError
from .ntu_skeleton import NUM_JOINTS, Bodies

NUM_PERSONS = 2
_NUM_SLOTS = 4
_SPINE_MID = 1
# The thresholds of the denoising.
_MAX_NOISE_FRAMES = 11
_MAX_WIDTH = 0.8  # of the height
_MAX_BAD_SHARE = 0.69754
# Metres; the sensor sees 8. Squares of much more are beyond float32.
_FARTHEST = 1e6


def select_persons(bodies: Bodies) -> np.ndarray:
    """The two bodies that move most, as MMAction2 selects them.

    The n-th body of each frame is taken for the same person. Of the first
    four, the two are kept whose coordinates spread most over joints and
    frames (the standard deviations of x, y and z, added up), in that order.
    Nothing else is changed: frames without anybody stay, as zeros.

    Args:
        bodies (Bodies): What the file shows.

    Returns:
        np.ndarray: Shape (M, T, 25, 3), float32, M one or two, T the number
        of frames of the file.

    Raises:
        BadFileError: If every coordinate is zero, or one is beyond 1e6 m.
    """
    _check_distances(bodies)
    slots = np.zeros((_NUM_SLOTS, bodies.num_frames, NUM_JOINTS, 3))
    used = bodies.slot < _NUM_SLOTS
    slots[bodies.slot[used], bodies.frame[used]] = bodies.joints[used]
    spread = [_spread(slot) for slot in slots]
    # Of equals the later one comes first, as it does in MMAction2.
    order = np.argsort(spread, kind='stable')[::-1][:NUM_PERSONS]
    return _present(slots[order].astype(np.float32))


def _check_distances(bodies: Bodies) -> None:
    far = np.argwhere(np.abs(bodies.joints) > _FARTHEST)
    if len(far):
        body, joint, axis = at = tuple(far[0])
        raise BadFileError(
            f'{"xyz"[axis]} of joint {joint} in frame {bodies.frame[body]} '
            f'(from 0) is {bodies.joints[at]:g}: these are no metres')


def _spread(slot: np.ndarray) -> float:
    """How far (T, 25, 3) reaches in the frames in which it is not zero."""
    seen = slot[slot.any((1, 2))]
    return seen.std((0, 1)).sum() if len(seen) else 0.


class _Track(NamedTuple):
    """What has one bodyID.

    Attributes:
        first (int): Its first frame, among those with anybody.
        joints (np.ndarray): Shape (n, 25, 3), float32, without its gaps.
        motion (float): How much it moves.
    """
    first: int
    joints: np.ndarray
    motion: float

    @property
    def last(self) -> int:
        """Its last frame, had it no gaps."""
        return self.first + len(self.joints) - 1


def denoise_persons(bodies: Bodies, repeat_single: bool = False) -> np.ndarray:
    """Two persons put together from denoised tracks, as in SGN and CTR-GCN.

    Frames without bodies are dropped and the gaps of each track closed. Of
    several tracks, those of 11 frames or less go; then, but never the last
    one, those that are too wide for their height (width above 0.8 of it) in
    a share of 0.69754 or more of their frames. The track that moves most
    becomes person 1. The others, in the order of their motion, go on with
    person 1 if they do not overlap it in time, or else with person 2, or
    else are dropped. (One frame in common is no overlap. Person 2's time
    begins with the clip, even if it does not, as in the original.) Frames
    in which nobody is left are cut. The place of person 1's spine in its
    first frame becomes the origin; who is absent stays zero.

    Variances are taken in float32, as there, so that ties fall the same way.

    Args:
        bodies (Bodies): What the file shows.
        repeat_single (bool): Whether the only person of a clip is written
            twice, as in MAMP's version of NTU RGB+D 120.

    Returns:
        np.ndarray: Shape (M, T, 25, 3), float32, M one or two.

    Raises:
        BadFileError: If nothing is left, or a coordinate is beyond 1e6 m.
    """
    _check_distances(bodies)
    _, frame = np.unique(bodies.frame, return_inverse=True)
    tracks = []
    for i in range(len(bodies.ids)):
        mine = bodies.track == i
        joints = bodies.joints[mine].astype(np.float32)
        tracks.append(_Track(frame[mine][0], joints, _motion(joints)))
    persons = _place(_denoise(tracks), frame[-1] + 1)
    persons = persons[:, persons.any((0, 2, 3))]
    if len(persons) == 1 and repeat_single:
        persons = persons.repeat(NUM_PERSONS, 0)
    return _centre(_present(persons))


def _motion(joints: np.ndarray) -> float:
    """Variance of x, y and z over frames and joints, added up."""
    return np.var(joints.reshape(-1, 3), axis=0).sum()


def _denoise(tracks: List[_Track]) -> List[_Track]:
    """Drop what is hardly a person; the rest, most motion first."""
    if len(tracks) > 1:
        tracks = [t for t in tracks if len(t.joints) > _MAX_NOISE_FRAMES]
        if not tracks:
            raise BadFileError(
                'the file shows several bodies, none of them for more than '
                f'{_MAX_NOISE_FRAMES} frames: nobody is left after denoising')
    left, kept = len(tracks), []
    for track in tracks:
        upright = _upright(track.joints)
        share = np.count_nonzero(~upright) / len(upright)
        if left > 1 and share >= _MAX_BAD_SHARE:
            left -= 1
        elif left > 1:
            motion = min(track.motion, _motion(track.joints[upright]))
            kept.append(track._replace(motion=motion))
        else:
            kept.append(track)
    return sorted(kept, key=lambda track: -track.motion)


def _upright(joints: np.ndarray) -> np.ndarray:
    """The frames of (n, 25, 3) that are not too wide, (n, ) bool."""
    size = np.ptp(joints[..., :2], axis=1).astype(np.float64)
    return size[:, 0] <= _MAX_WIDTH * size[:, 1]


def _place(tracks: List[_Track], num_frames: int) -> np.ndarray:
    """Put tracks into one or two persons, the first track into the first."""
    persons = np.zeros((min(len(tracks), NUM_PERSONS), num_frames, NUM_JOINTS,
                        3), np.float32)
    times: List[Tuple[int, int]] = [(tracks[0].first, tracks[0].last), (0, 0)]
    persons[0, tracks[0].first:tracks[0].last + 1] = tracks[0].joints
    for track in tracks[1:]:
        for person, (first, last) in enumerate(times):
            if min(last, track.last) - max(first, track.first) <= 0:
                persons[person, track.first:track.last + 1] = track.joints
                times[person] = (min(first, track.first),
                                 max(last, track.last))
                break
    return persons


def _centre(persons: np.ndarray) -> np.ndarray:
    """Move person 1's spine in its first frame to the origin."""
    seen = persons.any((2, 3))
    origin = persons[0, seen[0].argmax(), _SPINE_MID]
    return np.where(seen[..., None, None], persons - origin, 0)


def _present(persons: np.ndarray) -> np.ndarray:
    """Leave out persons who are zero throughout."""
    persons = persons[persons.any((1, 2, 3))]
    if not len(persons):
        raise BadFileError('every coordinate in it is 0')
    return persons
