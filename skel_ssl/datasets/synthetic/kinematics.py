# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A jointed body on the NTU-25 layout: joint angles in, joints out.

The body frame is the camera frame of a person who faces the sensor: +x is
the person's right, +y up and +z behind the back (right-handed, metres).

Angles are anatomical: each joint has ``(flexion, abduction, twist)`` in
degrees, and the same three numbers mean the same movement on either side.

- flexion bends a limb the way it bends: arm, thigh and foot go forward and
  up, the shank goes back, the trunk and the head bow;
- abduction lifts a limb away from the midline;
- twist turns a limb inwards about its own axis.

On the midline, abduction leans to the left and twist turns to the left.
"""
from typing import Dict, Tuple

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import softmax

from skel_ssl.datasets.layouts import NTU25

NUM_JOINTS = NTU25.num_joints
JOINT = {name: index for index, name in enumerate(NTU25.joints)}
ANKLES = (JOINT['left ankle'], JOINT['right ankle'])
# (joint, the joint that carries it), from the spine base outwards. The bones
# of the layout run inwards to the spine shoulder instead.
CHAIN = ((1, 0), (20, 1), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6),
         (8, 20), (9, 8), (10, 9), (11, 10), (12, 0), (13, 12), (14, 13),
         (15, 14), (16, 0), (17, 16), (18, 17), (19, 18), (21, 7), (22, 7),
         (23, 11), (24, 11))

# Joint: length of the bone that ends there, as a share of the stature, and
# where that bone points at rest. A right limb stands for both sides.
SKELETON: Dict[str, Tuple[float, Tuple[float, float, float]]] = {
    'spine mid': (.165, (0, 1, .05)),
    'spine shoulder': (.125, (0, 1, .05)),
    'neck': (.042, (0, 1, -.1)),
    'head': (.078, (0, 1, -.25)),
    'shoulder': (.095, (1, -.2, 0)),
    'elbow': (.150, (0, -1, 0)),
    'wrist': (.140, (0, -1, 0)),
    'hand': (.042, (0, -1, 0)),
    'hand tip': (.040, (0, -1, 0)),
    'thumb': (.030, (-.2, -1, -.8)),
    'hip': (.046, (1, -.25, 0)),
    'knee': (.220, (0, -1, 0)),
    'ankle': (.220, (0, -1, 0)),
    'foot': (.068, (0, -.5, -1)),
}
BENDS_BACK = ('spine base', 'spine mid', 'spine shoulder', 'neck', 'head',
              'left knee', 'right knee')
SUPPORT_BLUR = .02  # metres of height over which weight shifts to a foot


def part_name(joint: str) -> str:
    """The joint without its side: ``'left elbow'`` gives ``'elbow'``."""
    return joint.replace('left ', '').replace('right ', '')


def _side(joint: str) -> int:
    return -1 if joint.startswith('left ') else 1


def _rest_directions() -> np.ndarray:
    table = np.zeros((NUM_JOINTS, 3))
    for joint, index in JOINT.items():
        if part_name(joint) in SKELETON:
            x, y, z = SKELETON[part_name(joint)][1]
            table[index] = _side(joint) * x, y, z
            table[index] /= np.linalg.norm(table[index])
    return table


REST_DIRECTIONS = _rest_directions()
# Degrees of (flexion, abduction, twist) to turns about the x, z and y axis.
SIGNS = np.array([(-1 if joint in BENDS_BACK else 1, _side(joint),
                   _side(joint)) for joint in NTU25.joints])


def bone_lengths(stature: float, proportions: Dict[str, float]) -> np.ndarray:
    """Lengths of the bones of a person, the same left and right.

    Args:
        stature (float): Body height in metres.
        proportions (dict[str, float]): A factor per key of ``SKELETON``;
            1 where a key is missing.

    Returns:
        np.ndarray: ``(V,)``, metres from each joint to its parent; the
        root has 0.

    Raises:
        ValueError: If a factor is for a bone that ``SKELETON`` has not.
    """
    unknown = sorted(set(proportions) - set(SKELETON))
    if unknown:
        raise ValueError(f'there is no bone {unknown[0]!r}; use one of '
                         f'{sorted(SKELETON)}')
    lengths = np.zeros(NUM_JOINTS)
    for joint, index in JOINT.items():
        part = part_name(joint)
        if part in SKELETON:
            lengths[index] = (
                stature * SKELETON[part][0] * proportions.get(part, 1.))
    return lengths


def mirror_angles(angles: np.ndarray) -> np.ndarray:
    """The same movement with left and right exchanged.

    Args:
        angles (np.ndarray): ``(..., V, 3)``, degrees.
    """
    order = np.arange(NUM_JOINTS)
    for left, right in NTU25.flip_pairs:
        order[[left, right]] = right, left
    midline = order == np.arange(NUM_JOINTS)
    sign = np.where(midline[:, None], (1, -1, -1), 1)
    return angles[..., order, :] * sign


def joint_rotations(angles: np.ndarray) -> np.ndarray:
    """Turn anatomical angles into rotations relative to the parent.

    A joint twists about its limb first and swings the limb afterwards. The
    swing is one rotation vector, so flexion and abduction have no order.

    Args:
        angles (np.ndarray): ``(..., 3)``, degrees, joints on the axis
            before the last.

    Returns:
        np.ndarray: Rotation matrices, ``(..., 3, 3)``.
    """
    flexion, abduction, twist = np.moveaxis(np.radians(angles * SIGNS), -1, 0)
    zero = np.zeros_like(flexion)
    swing, spin = (
        Rotation.from_rotvec(np.stack(vector, -1).reshape(-1, 3))
        for vector in ((flexion, zero, abduction), (zero, twist, zero)))
    return (swing * spin).as_matrix().reshape(*flexion.shape, 3, 3)


def forward_kinematics(angles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Place the joints of a body whose spine base is at the origin.

    Args:
        angles (np.ndarray): ``(T, V, 3)``, degrees.
        lengths (np.ndarray): ``(V,)``, metres.

    Returns:
        np.ndarray: ``(T, V, 3)``, metres in the body frame.
    """
    turns = joint_rotations(angles)
    offsets = lengths[:, None] * REST_DIRECTIONS
    points = np.zeros(angles.shape)
    for joint, parent in CHAIN:
        bone = turns[:, parent] @ offsets[joint]
        points[:, joint] = points[:, parent] + bone
        turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return points


def plant(body: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Stand a body on the floor ``y = 0`` so that its feet do not slide.

    The lower ankle carries the weight. Moving the body against that ankle
    gives sitting, stepping and kicking their root path: none is written by
    hand.

    Args:
        body (np.ndarray): ``(T, V, 3)`` from :func:`forward_kinematics`.
        lengths (np.ndarray): ``(V,)``, metres.

    Returns:
        np.ndarray: ``(T, V, 3)``, metres; the body starts at the origin.
    """
    ankles = body[:, ANKLES]
    load = softmax(-ankles[..., 1] / SUPPORT_BLUR, axis=1)
    slip = np.diff(ankles, axis=0) * (load[1:] + load[:-1])[..., None] / 2
    shift = np.zeros((len(body), 1, 3))
    shift[1:, 0] = -np.cumsum(slip.sum(axis=1), axis=0)
    foot = JOINT['left foot']
    sole = -REST_DIRECTIONS[foot, 1] * lengths[foot]
    shift[:, 0, 1] = sole - (load * ankles[..., 1]).sum(axis=1)
    return body + shift
