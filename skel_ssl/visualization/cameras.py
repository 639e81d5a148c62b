# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From coordinates to a flat picture: which way is up, and from where."""
from dataclasses import replace
from typing import Iterable, Optional, Sequence

import numpy as np

from skel_ssl.datasets.doctor.body import direction_name, get_body
from skel_ssl.datasets.layouts import SkeletonLayout

# Degrees from the front: around the body, and upwards.
VIEWS = {'front': (0, 0), 'side': (90, 0), 'top': (0, 90), '3d': (35, 20)}
AXES = 'xyz'


def camera(view: str = 'front', up: str = '+y') -> np.ndarray:
    """Axes of the picture of a right-handed space.

    Where a horizontal axis is z, the front is seen from -z: there is the
    camera of a depth sensor, in whose frame y is up (or down) and z leads
    away. Where z is up the front is seen from +y: there looks the person
    whose shoulders ``PosePreNormalize3D`` has aligned. Nothing is mirrored:
    the right hand of somebody seen from the front is on the left.

    Args:
        view (str): ``'front'``, ``'side'`` (from the right of the picture of
            the front), ``'top'`` or ``'3d'`` (from the front, the right and
            above).
        up (str): The axis that points up, ``'+x'`` to ``'-z'``.

    Returns:
        np.ndarray: ``(3, 3)``, rows are unit vectors: to the right, upwards,
        and towards whoever looks. Parallel rays, so no foreshortening.

    Raises:
        ValueError: If there is no such view or axis.
    """
    if view not in VIEWS:
        raise ValueError(f'view={view!r} must be one of {sorted(VIEWS)}')
    if len(up) != 2 or up[0] not in '+-' or up[1] not in AXES:
        raise ValueError(f"up={up!r} must be one of '+x', '-x', '+y' ... '-z'")
    upwards = np.zeros(3)
    upwards[AXES.index(up[1])] = 1 if up[0] == '+' else -1
    towards = np.array([0., 1., 0.] if up[1] == 'z' else [0., 0., -1.])
    right = np.cross(upwards, towards)
    around, above = np.radians(VIEWS[view])
    right, towards = (np.cos(around) * right - np.sin(around) * towards,
                      np.cos(around) * towards + np.sin(around) * right)
    upwards, towards = (np.cos(above) * upwards - np.sin(above) * towards,
                        np.cos(above) * towards + np.sin(above) * upwards)
    return np.stack([right, upwards, towards])


def project(keypoint: np.ndarray,
            view: str = 'front',
            up: str = '+y') -> np.ndarray:
    """Places in a picture whose second coordinate points up.

    Args:
        keypoint (np.ndarray): ``(..., 3)``; or ``(..., 2)``, places in an
            image, whose y points down. These have no view.
        view (str): See :func:`camera`.
        up (str): See :func:`camera`.

    Returns:
        np.ndarray: ``(..., 2)`` float64.

    Raises:
        ValueError: If there are not two or three coordinates, and see
            :func:`camera`.
    """
    if keypoint.shape[-1] not in (2, 3):
        raise ValueError(f'a keypoint of shape {keypoint.shape} cannot be '
                         'drawn: it must have two or three coordinates')
    if keypoint.shape[-1] == 2:
        return keypoint * np.array([1., -1.])
    return keypoint.astype(np.float64) @ camera(view, up)[:2].T


def guess_up(clips: Iterable[np.ndarray],
             layout: Optional[SkeletonLayout] = None,
             names: Sequence[str] = ()) -> Optional[str]:
    """The axis along which most bodies stand.

    Every pose has a vote: from its feet to its head, or along its spine if
    no joint is named so.

    Args:
        clips (Iterable[np.ndarray]): Clips ``(M, T, V, 3)`` of one body.
        layout (SkeletonLayout, optional): The body.
        names (Sequence[str]): Names of the joints, if there is no layout.

    Returns:
        str, optional: ``'+y'`` and the like; None if it cannot be known.
    """
    clips = list(clips)
    body = get_body([dict(keypoint=clip) for clip in clips], layout, names)
    if not (body.head and body.feet) and layout is not None and layout.spine:
        bottom, top = layout.spine
        body = replace(body, head=[top], feet=[bottom])
    votes = np.zeros(6, int)
    for clip in clips:
        poses = clip.reshape(-1, *clip.shape[2:])
        votes += body.up_votes(poses, poses.any(2))
    return direction_name(int(votes.argmax())) if votes.any() else None
