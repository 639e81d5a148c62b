# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What bodies of a file are like: layout, size, unit, up axis."""
from collections import Counter
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..checks import clip_fault
from ..layouts import LAYOUTS, SkeletonLayout

_PREVIEW = 256  # clips from which the size of a body is taken
AXES = ('x', 'y', 'z')


@dataclass
class Body:
    """The bodies of a file.

    Attributes:
        joints (int): V, the most frequent.
        coordinates (int): C, the most frequent.
        layout (SkeletonLayout, optional): Given, or guessed from V.
        guessed (bool): Whether the layout was guessed.
        bones (np.ndarray): ``(B, 2)`` connected joints; none without a layout.
        head (list[int]): Joints at the top.
        feet (list[int]): Joints at the bottom.
        size (float): Median extent of a body along its longest axis, in the
            unit of the file; 1 if nobody can be measured.
    """
    joints: int
    coordinates: int
    layout: Optional[SkeletonLayout]
    guessed: bool
    bones: np.ndarray
    head: Sequence[int]
    feet: Sequence[int]
    size: float

    def bone_lengths(self, poses: np.ndarray,
                     joints: np.ndarray) -> np.ndarray:
        """Lengths ``(N, B)``; 0 where an end is missing.

        Args:
            poses (np.ndarray): ``(N, V, C)``.
            joints (np.ndarray): ``(N, V)`` bool, the joints there.
        """
        ends = poses[:, self.bones]
        lengths = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=2)
        return lengths * joints[:, self.bones].all(2)

    def up_votes(self, poses: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Poses with the head over the feet along +x, -x, +y, ...

        Args:
            poses (np.ndarray): ``(N, V, C)``.
            joints (np.ndarray): ``(N, V)`` bool, the joints there.

        Returns:
            np.ndarray: ``(2 * C,)`` counts.
        """
        if not (self.head and self.feet):
            return np.zeros(2 * poses.shape[2], int)
        whole = joints[:, [*self.head, *self.feet]].all(1)
        poses = poses[whole]
        rise = poses[:, self.head].mean(1) - poses[:, self.feet].mean(1)
        axis = np.abs(rise).argmax(1)
        down = rise[np.arange(len(rise)), axis] < 0
        return np.bincount(2 * axis + down, minlength=2 * poses.shape[2])


def get_body(annotations: Sequence[Mapping[str, Any]],
             layout: Optional[SkeletonLayout] = None,
             names: Sequence[str] = ()) -> Body:
    """Find out what the bodies of a file are like.

    Args:
        annotations (Sequence[Mapping]): The clips, faulty ones among them.
        layout (SkeletonLayout, optional): The layout. None: the preset with
            as many joints, if there is one.
        names (Sequence[str]): Names of the joints, if the file has them.
    """
    shapes = Counter(shape for shape in map(_shape, annotations) if shape)
    joints, coordinates = shapes.most_common(1)[0][0] if shapes else (0, 0)
    guessed = layout is None
    if guessed:
        layout = next((x for x in LAYOUTS.values() if x.num_joints == joints),
                      None)
    edges: Sequence[Tuple[int, int]] = ()
    if layout is not None and layout.num_joints == joints:
        names, edges = layout.joints, layout.edges
    elif len(names) != joints:
        names = ()
    return Body(
        joints=joints,
        coordinates=coordinates,
        layout=layout,
        guessed=guessed,
        bones=np.array(edges, int).reshape(-1, 2),
        head=_named(names, 'head', 'nose'),
        feet=_named(names, 'foot', 'ankle'),
        size=_body_size(annotations, (joints, coordinates)))


def _shape(annotation: Mapping[str, Any]) -> Optional[Tuple[int, int]]:
    shape = getattr(annotation.get('keypoint'), 'shape', ())
    return tuple(shape[2:]) if len(shape) == 4 else None


def _named(names: Sequence[str], *parts: str) -> Sequence[int]:
    return [i for i, name in enumerate(names)
            if any(part in name.lower() for part in parts)]


def _body_size(annotations: Sequence[Mapping[str, Any]],
               shape: Tuple[int, int]) -> float:
    spans = []
    for i in range(0, len(annotations), len(annotations) // _PREVIEW + 1):
        clip = annotations[i]
        if _shape(clip) != shape or clip_fault(
                dict(clip, total_frames=clip['keypoint'].shape[1])):
            continue
        keypoint = clip['keypoint']
        poses = keypoint[keypoint.any((2, 3))].astype(np.float64)
        low, high, _ = extent(poses, poses.any(2))
        spans.append(np.median((high - low).max(1)))
    return float(np.median(spans) or 1) if spans else 1.


def extent(
        poses: np.ndarray, joints: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest, highest and mean place of the joints that are there.

    Args:
        poses (np.ndarray): ``(N, V, C)``.
        joints (np.ndarray): ``(N, V)`` bool, one at least in each pose.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: ``(N, C)`` each.
    """
    if joints.all():
        return poses.min(1), poses.max(1), poses.mean(1)
    absent = ~joints[..., None]
    return (np.where(absent, np.inf, poses).min(1),
            np.where(absent, -np.inf, poses).max(1),
            poses.sum(1) / joints.sum(1, keepdims=True))


def guess_unit(size: float, coordinates: int) -> Optional[str]:
    """The unit in which a body has this size; None if none fits.

    Args:
        size (float): Median extent of a body along its longest axis.
        coordinates (int): 2 (a picture) or 3 (a room).
    """
    if coordinates == 2:
        return 'pixels' if size > 3 else 'shares of the picture'
    for unit, one_metre in (('metres', 1), ('centimetres', 100),
                            ('millimetres', 1000)):
        if .5 * one_metre <= size <= 3 * one_metre:
            return unit
    return None


def direction_name(vote: int) -> str:
    """'+y' for 2, as :meth:`Body.up_votes` counts."""
    return '+-'[vote % 2] + AXES[vote // 2]
