# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a depth camera makes of a scene: viewpoint, noise, lost joints."""
from typing import Tuple

import numpy as np
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from .kinematics import JOINT, part_name

CAMERA_YAWS = (-45., 0., 45.)  # degrees, where each camera stands
YAW_SPREAD = 35.  # degrees between clips of one camera
# Metres of noise per joint; joints that are not here have .004.
NOISE = {
    'head': .006, 'elbow': .010, 'wrist': .015, 'hand': .022,
    'hand tip': .038, 'thumb': .038, 'knee': .012, 'ankle': .016,
    'foot': .024
}
NOISE_MEMORY = .8  # correlation of the noise between neighbouring frames
# Limbs that are lost together, from the inside out.
LIMBS = tuple(
    tuple(JOINT[f'{side} {part}'] for part in parts)
    for side in ('left', 'right')
    for parts in (('elbow', 'wrist', 'hand', 'hand tip', 'thumb'),
                  ('wrist', 'hand', 'hand tip', 'thumb'),
                  ('hand tip', 'thumb'), ('ankle', 'foot')))
GLITCHES_PER_SECOND = .5
GLITCH_FRAMES = (3, 13)
GLITCH_METRES = .12
MISSING_RATE = .4  # share of clips of two that lose the second person
MISSING_SHARE = .3  # at most this share of such a clip is lost


def _noise_per_joint() -> np.ndarray:
    return np.array([NOISE.get(part_name(joint), .004) for joint in JOINT])


def view(scene: np.ndarray, yaw: float,
         rng: np.random.Generator) -> np.ndarray:
    """Bring a scene into the frame of a camera that looks at it.

    Args:
        scene (np.ndarray): ``(M, T, V, 3)``, metres, floor at ``y = 0``.
        yaw (float): Degrees that the camera's place, and so the scene in
            its frame, is turned about the vertical.

    Returns:
        np.ndarray: ``(M, T, V, 3)``, metres in the camera frame.
    """
    middle = scene[:, :, JOINT['spine base']].mean(axis=(0, 1)) * (1, 0, 1)
    turn = Rotation.from_euler(
        'y', yaw + rng.uniform(-YAW_SPREAD, YAW_SPREAD), degrees=True)
    place = rng.uniform((-.5, -1.3, 2.4), (.5, -.8, 3.6))
    tilt = Rotation.from_euler('x', -rng.uniform(-2, 14), degrees=True)
    points = turn.apply((scene - middle).reshape(-1, 3)) + place
    return tilt.apply(points).reshape(scene.shape)


def jitter(shape: Tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise that drifts, larger at hands and feet.

    Args:
        shape (tuple[int]): ``(M, T, V, 3)``.

    Returns:
        np.ndarray: Metres, first-order autoregressive along the frames.
    """
    white = rng.normal(0, 1, shape)
    white[:, 1:] *= np.sqrt(1 - NOISE_MEMORY**2)
    drift = lfilter([1.], [1., -NOISE_MEMORY], white, axis=1)
    return drift * _noise_per_joint()[:, None] * rng.uniform(.5, 1.5)


def glitch(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lose track of limbs now and then.

    A lost limb freezes where it was last seen, or jumps to a wrong place.

    Args:
        points (np.ndarray): ``(M, T, V, 3)``, metres.
    """
    points = points.copy()
    persons, frames = points.shape[:2]
    for _ in range(rng.poisson(GLITCHES_PER_SECOND * persons * frames / 30)):
        track = points[rng.integers(persons)]
        limb = LIMBS[rng.integers(len(LIMBS))]
        first = rng.integers(frames)
        lost = slice(first, first + rng.integers(*GLITCH_FRAMES))
        if rng.random() < .5:
            track[lost, limb] = track[first, limb]
        else:
            track[lost, limb] += rng.normal(0, GLITCH_METRES, 3)
    return points


def lose_second_person(points: np.ndarray,
                       rng: np.random.Generator) -> np.ndarray:
    """Sometimes blank the second of two people for a while, with zeros.

    Args:
        points (np.ndarray): ``(2, T, V, 3)``, metres.
    """
    points = points.copy()
    frames = points.shape[1]
    first, share = rng.integers(frames), rng.uniform(0, MISSING_SHARE)
    if rng.random() < MISSING_RATE:
        points[1, first:first + int(np.ceil(share * frames))] = 0
    return points


def record(scene: np.ndarray, camera: int,
           rng: np.random.Generator) -> np.ndarray:
    """See a scene through a camera, with all its errors.

    Args:
        scene (np.ndarray): ``(M, T, V, 3)``, metres, floor at ``y = 0``.
        camera (int): Which one, counted from 1.

    Returns:
        np.ndarray: ``(M, T, V, 3)``, metres in the camera frame.
    """
    points = view(scene, CAMERA_YAWS[camera - 1], rng)
    points = glitch(points + jitter(points.shape, rng), rng)
    return lose_second_person(points, rng) if len(points) > 1 else points
