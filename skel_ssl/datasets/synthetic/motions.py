# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The actions as data: a table of key poses and the time between them.

A pose is a ``(V, 3)`` array of anatomical angles in degrees, relative to
standing at ease (see :mod:`.kinematics`). Several actions share their poses
and differ in order, side or pace alone: no single frame tells them apart.
"""
from typing import NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from .kinematics import JOINT, NUM_JOINTS

Angle = Union[float, Tuple[float, ...]]


def pose(base: Optional[np.ndarray] = None, **joints: Angle) -> np.ndarray:
    """Write a pose by joint names.

    Args:
        base (np.ndarray, optional): Pose to start from. Default: at ease.
        **joints: ``left_elbow=90`` or ``(flexion, abduction, twist)``, in
            degrees, what is left out being 0; ``both_elbow`` means left
            and right.

    Returns:
        np.ndarray: ``(V, 3)``, degrees.

    Raises:
        ValueError: If the layout has no joint of that name.
    """
    angles = np.zeros((NUM_JOINTS, 3)) if base is None else base.copy()
    for key, value in joints.items():
        name = key.replace('_', ' ')
        sides = ('left', 'right') if name.startswith('both ') else ('both', )
        for joint in (name.replace('both', side, 1) for side in sides):
            if joint not in JOINT:
                raise ValueError(f'there is no joint {joint!r} for {key!r}; '
                                 f'use one of {sorted(JOINT)}')
            angle = np.atleast_1d(value)
            angles[JOINT[joint]] = 0
            angles[JOINT[joint], :len(angle)] = angle
    return angles


REST = pose()


class Key(NamedTuple):
    """A pose to reach.

    Attributes:
        seconds (float): Time from the key before, at an average pace.
        pose (np.ndarray): ``(V, 3)``, degrees.
        partner (np.ndarray): The other person's pose at that moment.
    """
    seconds: float
    pose: np.ndarray
    partner: np.ndarray = REST


class Contact(NamedTuple):
    """Where two people meet, which says how they stand.

    Attributes:
        joints (tuple[str]): Joints of the actor.
        partner (tuple[str]): Joints of the partner.
        gap (float): Metres between the two groups' centres on contact.
    """
    joints: Tuple[str, ...]
    partner: Tuple[str, ...]
    gap: float


class Motion(NamedTuple):
    """An action.

    Attributes:
        name (str): Name of the class.
        start (np.ndarray): ``(V, 3)``, the pose before the first key.
        intro (tuple[Key]): Keys up to the part that repeats.
        loop (tuple[Key]): Keys that repeat.
        outro (tuple[Key]): Keys after it.
        repeats (tuple[int, int]): Least and most runs of the loop.
        side (str): ``'right'`` as written, ``'handed'`` mirrored for a
            left-handed person, ``'any'`` mirrored every other time.
        seatable (bool): Whether it is done on a chair as well.
        contact (Contact, optional): Makes it an action of two, who meet at
            the last key of the intro.
    """
    name: str
    start: np.ndarray
    intro: Tuple[Key, ...]
    loop: Tuple[Key, ...] = ()
    outro: Tuple[Key, ...] = ()
    repeats: Tuple[int, int] = (1, 1)
    side: str = 'right'
    seatable: bool = False
    contact: Optional[Contact] = None


def circle(steps: int, radius: float) -> Tuple[np.ndarray, ...]:
    """Poses of a hand that draws a circle in the air, clockwise.

    Clockwise as the person sees it; it starts at the top.

    Args:
        steps (int): Poses in a round.
        radius (float): Degrees of shoulder flexion.
    """
    turn = np.arange(steps) * 2 * np.pi / steps
    return tuple(
        pose(
            right_shoulder=(75 + radius * up, 1.4 * radius * out),
            right_elbow=25,
            right_wrist=-10) for up, out in zip(np.cos(turn), np.sin(turn)))


def keys(seconds: float, poses: Sequence[np.ndarray]) -> Tuple[Key, ...]:
    """Poses at equal times."""
    return tuple(Key(seconds, p) for p in poses)


def mutual(seconds: float, both: np.ndarray) -> Key:
    """A pose that both people take."""
    return Key(seconds, both, both)


# One arm.
WAVE_OUT = pose(right_shoulder=(15, 70, -75), right_elbow=65)
WAVE_IN = pose(right_shoulder=(15, 75, -75), right_elbow=120)
WAVE_LEFT_OUT = pose(left_shoulder=(15, 70, -75), left_elbow=65)
WAVE_LEFT_IN = pose(left_shoulder=(15, 75, -75), left_elbow=120)
CIRCLE = circle(8, 26)
# Two hands.
PALMS_APART = pose(both_shoulder=(38, 2, 12), both_elbow=80)
PALMS_SHUT = pose(both_shoulder=(38, 0, 38), both_elbow=80)
RUB_RIGHT = pose(
    PALMS_SHUT, right_shoulder=(46, 0, 37), right_elbow=72,
    left_shoulder=(30, 0, 40), left_elbow=88)
RUB_LEFT = pose(
    PALMS_SHUT, left_shoulder=(46, 0, 37), left_elbow=72,
    right_shoulder=(30, 0, 40), right_elbow=88)
GUARD = pose(both_shoulder=(30, 5, 25), both_elbow=115)
BOTH_OUT = pose(both_shoulder=(75, 0, 10), both_elbow=25)
RIGHT_OUT = pose(
    GUARD, right_shoulder=(75, 0, 10), right_elbow=25)
LEFT_OUT = pose(GUARD, left_shoulder=(75, 0, 10), left_elbow=25)
# Trunk and legs.
LEAN = pose(
    spine_base=32, spine_mid=12, neck=-20, both_hip=72, both_knee=55,
    both_shoulder=30, both_elbow=30)
SEAT = pose(spine_base=-3, spine_mid=4, both_hip=82, both_knee=84)
SEATED = pose(SEAT, both_shoulder=(22, 0, 15), both_elbow=50)
STOOP = pose(
    spine_base=60, spine_mid=25, neck=-20, both_hip=104, both_knee=60,
    right_shoulder=(78, 0, 5), right_elbow=0, left_shoulder=(35, 10),
    left_elbow=30)
HOLD = pose(right_shoulder=(15, 0, 10), right_elbow=85)
SWING_BACK = pose(
    spine_base=5, right_hip=-20, right_knee=65, left_hip=8, left_knee=10,
    right_shoulder=(20, 15), left_shoulder=(-15, 15), both_elbow=30)
STRIKE = pose(
    spine_base=-10, spine_mid=8, right_hip=62, right_knee=8, left_hip=-8,
    left_knee=8, right_shoulder=(-20, 20), left_shoulder=(30, 15),
    both_elbow=30)
KNEE_UP = pose(
    right_hip=62, right_knee=75, left_shoulder=25, left_elbow=45,
    right_shoulder=-18, right_elbow=30)
OTHER_KNEE_UP = pose(
    left_hip=62, left_knee=75, right_shoulder=25, right_elbow=45,
    left_shoulder=-18, left_elbow=30)
# A step: the leg swings, lands, and the other one follows.
STEP_SWING = pose(
    spine_base=3, right_hip=32, right_knee=45, left_hip=-8, left_knee=4,
    left_shoulder=12, right_shoulder=-10)
STEP_LAND = pose(
    spine_base=4, right_hip=26, right_knee=6, left_hip=-16, left_knee=10,
    left_shoulder=15, right_shoulder=-12)
STEP_CLOSE = pose(
    spine_base=3, right_hip=4, right_knee=4, left_hip=18, left_knee=42)
STEP = (mutual(.3, STEP_SWING), mutual(.2, STEP_LAND), mutual(.25, STEP_CLOSE))
# Two people.
GRIP_HIGH = pose(
    right_shoulder=(46, -18, 8), right_elbow=46, spine_mid=6, neck=6)
GRIP_LOW = pose(
    right_shoulder=(28, -18, 8), right_elbow=36, spine_mid=8, neck=10)
LOAD = pose(
    both_shoulder=(5, 15, 15), both_elbow=115, spine_mid=-6, right_hip=12,
    right_knee=15)
THRUST = pose(
    both_shoulder=(78, 5, 5), both_elbow=18, spine_base=10, spine_mid=10,
    right_hip=35, right_knee=15, left_hip=-8, left_knee=6)
READY = pose(both_shoulder=(10, 5), both_elbow=25)
STAGGER = pose(
    spine_base=-8, spine_mid=-14, neck=12, both_shoulder=(40, 25),
    both_elbow=40, left_hip=-25, left_knee=22, right_hip=2, right_knee=8)
RECOVER = pose(
    spine_base=4, right_hip=12, right_knee=25, both_shoulder=(12, 12),
    both_elbow=25)
ARMS_OPEN = pose(both_shoulder=(65, 45), both_elbow=35)
EMBRACE = pose(
    both_shoulder=(72, 5, 35), both_elbow=75, spine_mid=8, neck=8)
SQUEEZE = pose(
    both_shoulder=(70, 0, 45), both_elbow=85, spine_mid=12, neck=12)

# What people do besides, of the joints that an action leaves free.
FIDGETS = np.stack([
    pose(right_shoulder=(-15, 40, 50), right_elbow=80),  # hand on the hip
    pose(right_shoulder=(15, 0, 45), right_elbow=75),  # on the belly
    pose(right_shoulder=(-20, 8, 40), right_elbow=45),  # on the back
    pose(right_shoulder=(75, 45, -10), right_elbow=125),  # on the head
    pose(right_shoulder=(15, 70, -75), right_elbow=90),  # raised
    pose(right_shoulder=(75, 0, 0), right_elbow=25),  # pointing
    pose(right_shoulder=(40, 0, 0), right_elbow=30),
    pose(neck=(0, 0, 30)),
    pose(neck=25),
    pose(spine_mid=(0, 0, 22)),
    pose(spine_mid=(0, 9, 0)),
    pose(spine_mid=14),
    pose(right_hip=(12, 4), right_knee=25),
    pose(right_hip=(30, 0), right_knee=60),
])

MOTIONS: Tuple[Motion, ...] = (
    Motion(
        'wave left hand', REST, keys(.55, [WAVE_LEFT_OUT]),
        keys(.4, [WAVE_LEFT_IN, WAVE_LEFT_OUT]), keys(.55, [REST]), (1, 3),
        seatable=True),
    Motion(
        'wave right hand', REST, keys(.55, [WAVE_OUT]),
        keys(.4, [WAVE_IN, WAVE_OUT]), keys(.55, [REST]), (1, 3),
        seatable=True),
    Motion(
        'draw circle clockwise', REST, keys(.6, CIRCLE[:1]),
        keys(.18, CIRCLE[1:] + CIRCLE[:1]), keys(.55, [REST]), (1, 2),
        seatable=True),
    Motion(
        'draw circle counter-clockwise', REST, keys(.6, CIRCLE[:1]),
        keys(.18, CIRCLE[::-1]), keys(.55, [REST]), (1, 2), seatable=True),
    Motion('sit down', REST, (Key(.6, LEAN), Key(.7, SEATED))),
    Motion('stand up', SEATED, (Key(.6, LEAN), Key(.7, REST))),
    Motion(
        'pick up', REST,
        (Key(.8, STOOP), Key(.2, STOOP), Key(.8, HOLD)), side='handed'),
    Motion(
        'put down', HOLD,
        (Key(.8, STOOP), Key(.2, STOOP), Key(.8, REST)), side='handed'),
    Motion(
        'clap', REST, keys(.5, [PALMS_APART]),
        keys(.35, [PALMS_SHUT, PALMS_APART]), keys(.5, [REST]), (1, 4),
        seatable=True),
    Motion(
        'rub hands', REST, keys(.5, [PALMS_SHUT]),
        keys(.35, [RUB_RIGHT, RUB_LEFT]), keys(.5, [REST]), (1, 4), 'any',
        seatable=True),
    Motion(
        'punch in turn', REST, keys(.5, [RIGHT_OUT]),
        keys(.4, [LEFT_OUT, RIGHT_OUT]), keys(.5, [REST]), (1, 3), 'any',
        seatable=True),
    Motion(
        'punch with both fists', REST, keys(.5, [GUARD]),
        keys(.4, [BOTH_OUT, GUARD]), keys(.5, [REST]), (1, 3),
        seatable=True),
    Motion(
        'kick', REST, (), (Key(.4, SWING_BACK), Key(.25, STRIKE),
                           Key(.45, REST)), (), (1, 2), 'handed'),
    Motion(
        'walk in place', REST, (), keys(
            .35, [KNEE_UP, REST, OTHER_KNEE_UP, REST]), (), (1, 2), 'any'),
    Motion(
        'shake hands', REST, STEP + (mutual(.4, GRIP_HIGH), ), (
            mutual(.3, GRIP_LOW), mutual(.3, GRIP_HIGH)),
        (mutual(.5, REST), ), (1, 3),
        contact=Contact(('right hand', ), ('right hand', ), .04)),
    Motion(
        'push', REST, STEP + (Key(.4, LOAD, READY), Key(.22, THRUST, READY)),
        (), (Key(.3, THRUST, STAGGER), Key(.5, REST, RECOVER)), side='any',
        contact=Contact(('left hand', 'right hand'),
                        ('left shoulder', 'right shoulder'), .06)),
    Motion(
        'hug', REST, STEP + (mutual(.35, ARMS_OPEN), mutual(.4, EMBRACE)), (
            mutual(.5, SQUEEZE), ), (mutual(.5, REST), ), (1, 2),
        contact=Contact(('spine mid', ), ('spine mid', ), .28)))
