# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The numbers that are taken of one clip."""
from dataclasses import dataclass, field
from typing import Tuple

import numpy as np

from .body import Body, extent
from .prints import frame_prints

_FLUNG = 1.5  # body sizes between a joint and the middle of its body
_STRETCHED = .6  # body sizes that no bone is long,
_OUT_OF_PLACE = 2.5  # and times its own median
_JUMP = .5  # body sizes that a person's middle moves in a frame


@dataclass
class Measures:
    """What a clip is like; lengths in the unit of the file.

    Attributes:
        slots (int): M, the slots for persons.
        frames (int): T.
        present (int): Persons that are there.
        absent (int): Slots with zeros.
        copies (int): Slots with a copy of the first person.
        first_empty (bool): Whether the first slot is empty.
        gap (int): Frames without anybody between others.
        ends (int): Frames without anybody at the ends.
        frozen (bool): Whether nothing moves, in more than one frame.
        span (float): Median extent of a body along its longest axis.
        bone (float): Median bone length, NaN without a layout.
        up (np.ndarray): ``(2 * C,)``, poses with the head over the feet
            along +x, -x, +y, -y, ...; zeros if that cannot be said.
        flung (int): Poses with a joint far from its body.
        stretched (int): Poses with a bone far longer than usual.
        jumps (int): Times a person moves too far within a frame.
        prints (np.ndarray): See :func:`frame_prints`.
    """
    slots: int
    frames: int
    present: int
    absent: int
    copies: int
    first_empty: bool
    gap: int
    ends: int
    frozen: bool
    span: float
    bone: float
    up: np.ndarray = field(repr=False)
    flung: int
    stretched: int
    jumps: int
    prints: np.ndarray = field(repr=False)


def measure(keypoint: np.ndarray, body: Body) -> Measures:
    """Measure a clip.

    Args:
        keypoint (np.ndarray): ``(M, T, V, C)``, finite, not all zero.
        body (Body): What bodies of this file are like.
    """
    if keypoint.dtype != np.float32:
        keypoint = keypoint.astype(np.float64)
    seen = keypoint.any((2, 3))
    there = seen.any(1)
    copies = _count_copies(keypoint, there)
    gap, ends = count_empty_frames(seen.any(0))
    # (N, V, C), laid out in memory as (C, V, N): reductions over joints and
    # coordinates are then several times as fast
    poses = keypoint[seen].T.copy().T
    joints = poses.any(2)
    low, high, middle = extent(poses, joints)
    spans = (high - low).max(1)
    span = float(np.median(spans))
    # a body of another unit, or at another distance in a picture, is judged
    # by its own size
    size = span if body.coordinates == 2 else max(body.size, span)
    bones = body.bone_lengths(poses, joints)
    far = np.linalg.norm(poses - middle[:, None], axis=2) * joints
    return Measures(
        slots=len(keypoint),
        frames=keypoint.shape[1],
        present=int(there.sum()) - copies,
        absent=int((~there).sum()),
        copies=copies,
        first_empty=not there[0],
        gap=gap,
        ends=ends,
        frozen=keypoint.shape[1] > 1
        and bool((keypoint[:, 1:] == keypoint[:, :1]).all()),
        span=span,
        bone=float(np.median(bones)) if bones.size else np.nan,
        up=body.up_votes(poses, joints),
        flung=int((far > _FLUNG * size).any(1).sum()),
        stretched=_count_stretched(bones, size),
        jumps=_count_jumps(poses, middle, seen, size),
        prints=frame_prints(poses[spans > size / 10], body.size))


def count_empty_frames(seen: np.ndarray) -> Tuple[int, int]:
    """Frames without anybody, in the middle and at the ends.

    Args:
        seen (np.ndarray): ``(T,)`` bool, somebody is there; not all False.
    """
    first, last = np.flatnonzero(seen)[[0, -1]]
    inside = last + 1 - first
    return (int(inside - seen[first:last + 1].sum()),
            int(len(seen) - inside))


def _count_copies(keypoint: np.ndarray, there: np.ndarray) -> int:
    if len(keypoint) == 1 or not there[0]:
        return 0
    return int((keypoint[1:] == keypoint[:1]).all((1, 2, 3)).sum())


def _count_stretched(bones: np.ndarray, size: float) -> int:
    """Poses with a bone too long, bones ``(poses, B)``."""
    if not bones.size or bones.max() <= _STRETCHED * size:
        return 0
    usual = np.median(bones, axis=0)
    odd = (bones > _STRETCHED * size) & (bones > _OUT_OF_PLACE * usual)
    return int(odd.any(1).sum())


def _count_jumps(poses: np.ndarray, middle: np.ndarray, seen: np.ndarray,
                 size: float) -> int:
    """Jumps of the poses that ``seen`` (M, T) tells; middle is their mean."""
    person, frame = np.nonzero(seen)
    neighbours = (np.diff(person) == 0) & (np.diff(frame) == 1)
    far = _far_steps(middle, _JUMP * size) & neighbours
    if far.any():  # a single joint moves the mean, not the median
        far &= _far_steps(np.median(poses, axis=1), _JUMP * size)
    return int(far.sum())


def _far_steps(path: np.ndarray, limit: float) -> np.ndarray:
    return np.linalg.norm(np.diff(path, axis=0), axis=1) > limit
