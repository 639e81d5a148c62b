# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The body as data: joint names, bones, parts and symmetries of a layout."""
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple, Union

Pair = Tuple[int, int]


@dataclass(frozen=True)
class SkeletonLayout:
    """Joints of a body and how they hang together.

    Args:
        name (str): Name of the layout.
        joints (tuple[str]): Joint names; a joint's index is its place here.
        bones (tuple[tuple[int, int]]): ``(child, parent)`` pairs, of which
            the bone stream is made.
        parts (dict[str, tuple[int]]): Body parts. Disjoint, and together
            they cover every joint.
        centre (int): The joint that a clip is centred on.
        flip_pairs (tuple[tuple[int, int]]): ``(left, right)`` joints that
            change places in a mirrored body.
        spine (tuple[int, int], optional): ``(bottom, top)``, the axis that
            spine alignment turns upright.
        shoulders (tuple[int, int], optional): ``(right, left)``, the axis
            that shoulder alignment turns sideways.

    Raises:
        ValueError: If an index is outside the layout, or the parts overlap
            or leave a joint out.
    """
    name: str
    joints: Tuple[str, ...]
    bones: Tuple[Pair, ...]
    parts: Mapping[str, Tuple[int, ...]]
    centre: int
    flip_pairs: Tuple[Pair, ...] = ()
    spine: Optional[Pair] = None
    shoulders: Optional[Pair] = None

    def __post_init__(self) -> None:
        pairs = (*self.bones, *self.flip_pairs,
                 *(p for p in (self.spine, self.shoulders) if p))
        named = [j for pair in pairs for j in pair] + [self.centre]
        outside = sorted(j for j in set(named)
                         if not 0 <= j < self.num_joints)
        if outside:
            raise ValueError(
                f'layout {self.name!r} has {self.num_joints} joints, so '
                f'joint {outside[0]} does not exist: indices run from 0 to '
                f'{self.num_joints - 1}')
        in_parts = sorted(j for part in self.parts.values() for j in part)
        if in_parts != list(range(self.num_joints)):
            wrong = sorted(
                set(range(self.num_joints)) ^ set(in_parts)
                | {j for j in in_parts if in_parts.count(j) > 1})
            raise ValueError(
                f'the parts of layout {self.name!r} must hold each of its '
                f'{self.num_joints} joints once; look at joint(s) {wrong}')

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def parents(self) -> Tuple[int, ...]:
        """Parent of each joint; a root is its own parent."""
        parent = dict(self.bones)
        return tuple(parent.get(j, j) for j in range(self.num_joints))


def _sided(*names: str) -> Tuple[str, ...]:
    return tuple(f'{side} {n}' for side in ('left', 'right') for n in names)


NTU25 = SkeletonLayout(
    name='ntu25',
    joints=('spine base', 'spine mid', 'neck', 'head',
            *_sided('shoulder', 'elbow', 'wrist', 'hand'),
            *_sided('hip', 'knee', 'ankle', 'foot'), 'spine shoulder',
            'left hand tip', 'left thumb', 'right hand tip', 'right thumb'),
    # Inwards to the spine shoulder, as everywhere in the field (and in
    # MMAction2): the bone stream depends on it.
    bones=((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6),
           (8, 20), (9, 8), (10, 9), (11, 10), (12, 0), (13, 12), (14, 13),
           (15, 14), (16, 0), (17, 16), (18, 17), (19, 18), (21, 22), (22, 7),
           (23, 24), (24, 11)),
    parts={
        'head': (2, 3),
        'torso': (0, 1, 20, 4, 8, 12, 16),
        'left arm': (5, 6, 7, 21, 22),
        'right arm': (9, 10, 11, 23, 24),
        'left leg': (13, 14, 15),
        'right leg': (17, 18, 19)
    },
    centre=1,
    flip_pairs=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18),
                (15, 19), (21, 23), (22, 24)),
    spine=(0, 1),
    shoulders=(8, 4))

KINECT20 = SkeletonLayout(
    name='kinect20',
    joints=('hip centre', 'spine', 'shoulder centre', 'head',
            *_sided('shoulder', 'elbow', 'wrist', 'hand'),
            *_sided('hip', 'knee', 'ankle', 'foot')),
    # inwards to the shoulder centre, as in NTU25
    bones=((0, 1), (1, 2), (3, 2), (4, 2), (5, 4), (6, 5), (7, 6), (8, 2),
           (9, 8), (10, 9), (11, 10), (12, 0), (13, 12), (14, 13), (15, 14),
           (16, 0), (17, 16), (18, 17), (19, 18)),
    parts={
        'head': (3, ),
        'torso': (0, 1, 2, 4, 8, 12, 16),
        'left arm': (5, 6, 7),
        'right arm': (9, 10, 11),
        'left leg': (13, 14, 15),
        'right leg': (17, 18, 19)
    },
    centre=1,
    flip_pairs=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18),
                (15, 19)),
    spine=(0, 1),
    shoulders=(8, 4))

COCO17 = SkeletonLayout(
    name='coco17',
    joints=('nose', 'left eye', 'right eye', 'left ear', 'right ear',
            'left shoulder', 'right shoulder', 'left elbow', 'right elbow',
            'left wrist', 'right wrist', 'left hip', 'right hip', 'left knee',
            'right knee', 'left ankle', 'right ankle'),
    bones=((1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5), (8, 6),
           (9, 7), (10, 8), (11, 5), (12, 6), (13, 11), (14, 12), (15, 13),
           (16, 14)),
    parts={
        'head': (0, 1, 2, 3, 4),
        'torso': (5, 6, 11, 12),
        'left arm': (7, 9),
        'right arm': (8, 10),
        'left leg': (13, 15),
        'right leg': (14, 16)
    },
    centre=0,
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14),
                (15, 16)))

LAYOUTS: Dict[str, SkeletonLayout] = {
    layout.name: layout
    for layout in (NTU25, KINECT20, COCO17)
}


def get_layout(layout: Union[str, dict, SkeletonLayout]) -> SkeletonLayout:
    """Look a layout up by name, or make one from a dict.

    Args:
        layout (str | dict | SkeletonLayout): A preset's name, the arguments
            of :class:`SkeletonLayout`, or a layout, which is returned.

    Raises:
        ValueError: If no preset has that name.
    """
    if isinstance(layout, SkeletonLayout):
        return layout
    if isinstance(layout, Mapping):
        return SkeletonLayout(**layout)
    if layout not in LAYOUTS:
        raise ValueError(
            f'there is no layout {layout!r}; presets are {sorted(LAYOUTS)}, '
            'or give a dict with the arguments of SkeletonLayout')
    return LAYOUTS[layout]
