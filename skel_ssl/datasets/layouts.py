# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The body as data: joint names, bones, parts and symmetries of a layout."""
import json
import os
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

Pair = Tuple[int, int]


def _is_index(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _list_of(fits: Callable[[Any], bool],
             length: Optional[int] = None) -> Callable[[Any], bool]:
    """Whether a value is a list of things that fit."""

    def check(value: Any) -> bool:
        return (isinstance(value, Sequence) and not isinstance(value, str)
                and length in (None, len(value)) and all(map(fits, value)))

    return check


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_parts(value: Any) -> bool:
    return (isinstance(value, Mapping) and all(map(_is_text, value))
            and all(map(_list_of(_is_index), value.values())))


_is_pair = _list_of(_is_index, 2)

# What each argument of a layout must be.
_KINDS = dict(
    name=(_is_text, 'a text'),
    joints=(_list_of(_is_text), 'a list of names'),
    bones=(_list_of(_is_pair), 'a list of pairs of joint indices'),
    parts=(_is_parts, 'names, each with a list of joint indices'),
    centre=(_is_index, 'a joint index'),
    flip_pairs=(_list_of(_is_pair), 'a list of pairs of joint indices'),
    spine=(_is_pair, 'a pair of joint indices'),
    shoulders=(_is_pair, 'a pair of joint indices'),
    edges=(_list_of(_is_pair), 'a list of pairs of joint indices'))


def _to_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_tuples(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_to_tuples, value))
    return value


@dataclass(frozen=True)
class SkeletonLayout:
    """Joints of a body and how they hang together.

    Lists will do wherever a tuple is asked for; they become tuples.

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
        edges (tuple[tuple[int, int]], optional): Pairs of joints that are
            connected in the graph of the body, in either direction. None:
            the bones, without any from a joint to itself.

    Raises:
        ValueError: If an argument is of the wrong type, an index is outside
            the layout, the parts overlap or leave a joint out, an edge joins
            a joint to itself or is there twice, or a joint is in
            ``flip_pairs`` twice.
    """
    name: str
    joints: Tuple[str, ...]
    bones: Tuple[Pair, ...]
    parts: Mapping[str, Tuple[int, ...]] = field(hash=False)
    centre: int
    flip_pairs: Tuple[Pair, ...] = ()
    spine: Optional[Pair] = None
    shoulders: Optional[Pair] = None
    edges: Tuple[Pair, ...] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            fits, wanted = _KINDS[item.name]
            if not (fits(value) or value is None is item.default):
                raise ValueError(
                    f'{item.name}={value!r} of layout {self.name!r} is not '
                    f'{wanted}')
            object.__setattr__(self, item.name, _to_tuples(value))
        if self.edges is None:
            object.__setattr__(self, 'edges',
                               tuple(b for b in self.bones if b[0] != b[1]))
        self._check_indices()
        self._check_parts()
        self._check_edges()
        self._check_flip_pairs()

    def _check_indices(self) -> None:
        pairs = (*self.bones, *self.flip_pairs, *self.edges,
                 *(p for p in (self.spine, self.shoulders) if p))
        named = [j for pair in pairs for j in pair] + [self.centre]
        outside = sorted(j for j in set(named)
                         if not 0 <= j < self.num_joints)
        if outside:
            raise ValueError(
                f'layout {self.name!r} has {self.num_joints} joints, so '
                f'joint {outside[0]} does not exist: indices run from 0 to '
                f'{self.num_joints - 1}')

    def _check_parts(self) -> None:
        in_parts = sorted(j for part in self.parts.values() for j in part)
        if in_parts != list(range(self.num_joints)):
            wrong = sorted(
                set(range(self.num_joints)) ^ set(in_parts)
                | {j for j in in_parts if in_parts.count(j) > 1})
            raise ValueError(
                f'the parts of layout {self.name!r} must hold each of its '
                f'{self.num_joints} joints once; look at joint(s) {wrong}')

    def _check_edges(self) -> None:
        known = set()
        for edge in self.edges:
            if edge[0] == edge[1] or frozenset(edge) in known:
                fault = ('joins a joint to itself' if edge[0] == edge[1] else
                         'is there twice, in one direction or both')
                raise ValueError(f'edge {edge} of layout {self.name!r} '
                                 f'{fault}; leave it out')
            known.add(frozenset(edge))

    def _check_flip_pairs(self) -> None:
        sides = [j for pair in self.flip_pairs for j in pair]
        twice = sorted({j for j in sides if sides.count(j) > 1})
        if twice:
            raise ValueError(
                f'joint(s) {twice} of layout {self.name!r} are in flip_pairs '
                'more than once: a joint changes places with one other')

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
    shoulders=(8, 4),
    # The graph of MMAction2's 'nturgb+d', where a tip hangs on the hand.
    edges=((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6),
           (8, 20), (9, 8), (10, 9), (11, 10), (12, 0), (13, 12), (14, 13),
           (15, 14), (16, 0), (17, 16), (18, 17), (19, 18), (21, 7), (22, 7),
           (23, 11), (24, 11)))

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

_COCO17_BONES = ((1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5),
                 (8, 6), (9, 7), (10, 8), (11, 5), (12, 6), (13, 11), (14, 12),
                 (15, 13), (16, 14))
COCO17 = SkeletonLayout(
    name='coco17',
    joints=('nose', 'left eye', 'right eye', 'left ear', 'right ear',
            'left shoulder', 'right shoulder', 'left elbow', 'right elbow',
            'left wrist', 'right wrist', 'left hip', 'right hip', 'left knee',
            'right knee', 'left ankle', 'right ankle'),
    bones=_COCO17_BONES,
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
                (15, 16)),
    # across the shoulders and the hips, too
    edges=(*_COCO17_BONES, (5, 6), (11, 12)))

# The same body with the graph of MMAction2's 'coco': the bones alone.
COCO = replace(COCO17, name='coco', edges=COCO17.bones)

LAYOUTS: Dict[str, SkeletonLayout] = {
    layout.name: layout
    for layout in (NTU25, KINECT20, COCO17, COCO)
}

LayoutLike = Union[str, os.PathLike, Mapping, SkeletonLayout]


def get_layout(layout: LayoutLike) -> SkeletonLayout:
    """Look a layout up by name, or make one.

    Args:
        layout (str | os.PathLike | dict | SkeletonLayout): A preset's name;
            the path of a JSON file (a text that ends in ``'.json'``, or a
            path object), which holds the arguments of
            :class:`SkeletonLayout` as an object; these as a dict; or a
            layout, which is returned.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no preset has that name, or a file or dict does not
            describe a layout.
    """
    if isinstance(layout, SkeletonLayout):
        return layout
    if isinstance(layout, Mapping):
        return _make_layout(layout, 'layout dict')
    if isinstance(layout, os.PathLike) or str(layout).endswith('.json'):
        return _read_layout(Path(layout))
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(
            f'there is no layout {layout!r}; presets are {sorted(LAYOUTS)}, '
            'or give a dict with the arguments of SkeletonLayout, or the '
            "path of a '.json' file that holds them")
    return LAYOUTS[layout]


def _read_layout(path: Path) -> SkeletonLayout:
    source = f'layout file {str(path)!r}'
    if not path.is_file():
        raise FileNotFoundError(
            f'{source} is not there; looked for it at '
            f'{str(path.absolute())!r}')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:  # of the encoding, too
        raise ValueError(f'{source} is not JSON: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{source} holds a {type(content).__name__}; it must be an '
            'object with the arguments of SkeletonLayout')
    return _make_layout(content, source)


def _make_layout(settings: Mapping, source: str) -> SkeletonLayout:
    """A layout of its arguments; ``source`` begins every error."""
    known = {f.name: f.default is MISSING for f in fields(SkeletonLayout)}
    unknown = sorted(str(key) for key in settings if key not in known)
    missing = [key for key, needed in known.items()
               if needed and key not in settings]
    if unknown or missing:
        raise ValueError(
            f'{source}: unknown keys {unknown}, missing keys {missing}; it '
            f'takes {list(known)}')
    try:
        return SkeletonLayout(**settings)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from None
