# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""How people perform a motion: key poses to joint positions over time."""
from typing import NamedTuple, Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from .kinematics import (
    ANKLES,
    JOINT,
    NUM_JOINTS,
    forward_kinematics,
    mirror_angles,
    plant,
)
from .motions import FIDGETS, REST, SEAT, Contact, Motion
from .subjects import LOOSENESS, Subject

FPS = 30
MIN_FRAMES, MAX_FRAMES = 30, 120
HOLD_SECONDS = .15  # rest before the first key and after the last one
CUT_SECONDS = .3  # at most this much of an action is cut at either end
IDLE_SECONDS = .8  # at most this much rest is added at either end
TEMPO_SPREAD = .1  # of the takes of one person, relative
PACE_SPREAD = .15  # of the times between keys, relative
SEATED_RATE = .4  # of the actions that can be done seated
TAKE_SPREAD = 14.  # degrees, of each moving joint in a whole take
POSE_SPREAD = 4.  # degrees, of each moving joint in each key pose
ACCENT_SPREAD = .08  # of the size of each key pose, relative
SWAY = 6.  # degrees
SWAY_HERTZ = .05, .35
FIDGETS_PER_SECOND = .5
FIDGET_SECONDS = .3, 3.
FIDGET_ONSET = .07  # seconds; a fidget takes about six of these to begin


class Script(NamedTuple):
    """A motion as it will be performed, once.

    Attributes:
        times (np.ndarray): ``(K,)``, seconds, rising from 0.
        poses (np.ndarray): ``(M, K, V, 3)``, degrees relative to at ease.
        contact (float): Seconds at which two people meet.
    """
    times: np.ndarray
    poses: np.ndarray
    contact: float


def write_script(motion: Motion, repeats: int, tempo: float,
                 rng: np.random.Generator) -> Script:
    """Unroll a motion's table.

    Args:
        motion (Motion): What is done.
        repeats (int): Runs of its loop.
        tempo (float): Pace of the whole, 1 as in the table.
    """
    keys = motion.intro + repeats * motion.loop + motion.outro
    seconds = np.array([key.seconds for key in keys]) / tempo
    seconds *= np.exp(rng.normal(0, PACE_SPREAD, len(keys)))
    times = np.concatenate([[0], np.cumsum(seconds)])
    poses = np.stack([[motion.start, *(key.pose for key in keys)],
                      [REST, *(key.partner for key in keys)]])
    return Script(times, poses[:2 if motion.contact else 1],
                  times[len(motion.intro)])


def clock(duration: float, rng: np.random.Generator) -> np.ndarray:
    """When frames are taken of an action that lasts from 0 to `duration`.

    The recording starts and ends a little early or late. An action too
    long or too short for the frame limits is played faster or slower.

    Returns:
        np.ndarray: ``(T,)``, seconds.
    """
    early, late = rng.uniform(-CUT_SECONDS, IDLE_SECONDS, 2)
    frames = round(FPS * (duration + early + late))
    return np.linspace(-early, duration + late,
                       min(max(frames, MIN_FRAMES), MAX_FRAMES))


def interpolate(times: np.ndarray, values: np.ndarray,
                at: np.ndarray) -> np.ndarray:
    """Pass smoothly through key poses, at rest before and after them.

    Args:
        times (np.ndarray): ``(K,)``, seconds.
        values (np.ndarray): ``(K, ...)``.
        at (np.ndarray): ``(T,)``, seconds; beyond the keys the first or
            the last one holds.

    Returns:
        np.ndarray: ``(T, ...)``.
    """
    times = np.concatenate([[times[0] - HOLD_SECONDS], times,
                            [times[-1] + HOLD_SECONDS]])
    values = np.concatenate([values[:1], values, values[-1:]])
    return PchipInterpolator(times, values)(np.clip(at, times[0], times[-1]))


def sway(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The slow, small movement of a body that stands still.

    Args:
        seconds (np.ndarray): ``(T,)``.

    Returns:
        np.ndarray: ``(T, V, 3)``, degrees.
    """
    waves = 3
    hertz = rng.uniform(*SWAY_HERTZ, (waves, 1, NUM_JOINTS, 3))
    phase = rng.uniform(0, 2 * np.pi, hertz.shape)
    angle = 2 * np.pi * hertz * seconds[:, None, None] + phase
    return SWAY * LOOSENESS * np.sqrt(2 / waves) * np.sin(angle).sum(axis=0)


def fidget(poses: np.ndarray, at: np.ndarray,
           rng: np.random.Generator) -> np.ndarray:
    """Small doings of the joints that the action leaves free.

    Args:
        poses (np.ndarray): ``(K, V, 3)``, the action's key poses.
        at (np.ndarray): ``(T,)``, seconds.

    Returns:
        np.ndarray: ``(T, V, 3)``, degrees.
    """
    number = rng.poisson(FIDGETS_PER_SECOND * (at[-1] - at[0]))
    what = np.stack([FIDGETS, mirror_angles(FIDGETS)])[
        rng.integers(2, size=number),
        rng.integers(len(FIDGETS), size=number)]
    busy = poses.any(axis=(0, 2))
    what *= ~(what[..., busy, :].any(axis=(1, 2)))[:, None, None]
    begin = rng.uniform(at[0] - 1, at[-1], number)
    end = begin + rng.uniform(*FIDGET_SECONDS, number)
    share = rng.uniform(.3, 1.1, number) * (
        expit((at[:, None] - begin) / FIDGET_ONSET) -
        expit((at[:, None] - end) / FIDGET_ONSET))
    return np.einsum('tn,nvc->tvc', share, what)


def level_feet(angles: np.ndarray) -> np.ndarray:
    """Turn the ankles so that the soles are level.

    Args:
        angles (np.ndarray): ``(T, V, 3)``, degrees.
    """
    angles = angles.copy()
    for ankle in ANKLES:
        hip, knee = ankle - 2, ankle - 1
        angles[:, ankle, 0] += (
            angles[:, JOINT['spine base'], 0] + angles[:, knee, 0] -
            angles[:, hip, 0])
    return angles


def act(subject: Subject, times: np.ndarray, poses: np.ndarray,
        at: np.ndarray, seated: bool,
        rng: np.random.Generator) -> np.ndarray:
    """Let a person act, each time a little differently.

    Args:
        subject (Subject): Who.
        times (np.ndarray): ``(K,)``, seconds of the key poses.
        poses (np.ndarray): ``(K, V, 3)``, degrees relative to at ease.
        at (np.ndarray): ``(T,)``, seconds of the frames.
        seated (bool): Whether the person sits all the while.

    Returns:
        np.ndarray: ``(T, V, 3)``, metres; starts at the origin, faces -z.
    """
    accent = 1 + rng.normal(0, ACCENT_SPREAD, (len(poses), 1, 1))
    spread = (rng.normal(0, TAKE_SPREAD, poses.shape[1:]) +
              rng.normal(0, POSE_SPREAD, poses.shape))
    targets = poses * accent * subject.amplitude + spread * (poses != 0)
    angles = interpolate(times, targets, at)
    angles += subject.posture + fidget(poses, at, rng) + sway(at, rng)
    if seated:
        angles += SEAT
    body = forward_kinematics(level_feet(angles), subject.lengths)
    return plant(body, subject.lengths)


def face_each_other(scene: np.ndarray, contact: Contact,
                    frame: int) -> np.ndarray:
    """Turn the second person round and stand it where the two meet.

    Args:
        scene (np.ndarray): ``(2, T, V, 3)``, metres, both facing -z.
        contact (Contact): What meets.
        frame (int): When.

    Returns:
        np.ndarray: ``(2, T, V, 3)``; the two face each other along x.
    """
    actor, partner = scene[0], scene[1] * (-1, 1, -1)
    reach = actor[frame, [JOINT[j] for j in contact.joints]].mean(axis=0)
    met = partner[frame, [JOINT[j] for j in contact.partner]].mean(axis=0)
    shift = (reach - met) * (1, 0, 1) - (0, 0, contact.gap)
    pair = np.stack([actor, partner + shift])
    return pair[..., [2, 1, 0]] * (-1, 1, 1)


def perform(motion: Motion, people: Sequence[Subject],
            rng: np.random.Generator) -> np.ndarray:
    """Perform a motion, without the errors of a sensor.

    Args:
        motion (Motion): What is done.
        people (Sequence[Subject]): The actor and, for two, the partner.

    Returns:
        np.ndarray: ``(M, T, V, 3)``, metres, floor at ``y = 0``; people of
        an action of two in random order.
    """
    actor = people[0]
    script = write_script(motion,
                          rng.integers(motion.repeats[0],
                                       motion.repeats[1] + 1),
                          actor.tempo * np.exp(rng.normal(0, TEMPO_SPREAD)),
                          rng)
    coin = rng.random() < .5
    mirrored = {'right': False, 'handed': actor.left_handed, 'any': coin}
    poses = script.poses
    if mirrored[motion.side]:
        poses = mirror_angles(poses)
    seated = motion.seatable and rng.random() < SEATED_RATE
    at = clock(script.times[-1], rng)
    scene = np.stack([
        act(subject, script.times, part, at, seated, rng)
        for subject, part in zip(people, poses)
    ])
    if motion.contact:
        frame = np.abs(at - script.contact).argmin()
        scene = face_each_other(scene, motion.contact, frame)
        scene = scene[rng.permutation(2)]
    return scene
