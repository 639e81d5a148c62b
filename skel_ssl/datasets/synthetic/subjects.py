# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The people: body, posture and manner of moving of each."""
from dataclasses import dataclass

import numpy as np

from skel_ssl.datasets.layouts import NTU25

from .kinematics import NUM_JOINTS, SKELETON, bone_lengths, part_name
from .motions import pose

# Standing at ease, on top of which a motion's poses are added.
AT_EASE = pose(
    both_shoulder=(0, 9), both_elbow=14, both_hip=(2, 3), both_knee=4,
    neck=5)
# How much a joint varies within a person and between people, relative.
LOOSENESS = np.array([[
    .35 if part_name(joint) in ('spine base', 'hip', 'knee', 'ankle') else 1.
] for joint in NTU25.joints])
POSTURE_SPREAD = 6.  # degrees between people
RIGHT_HANDED = .8


@dataclass(frozen=True)
class Subject:
    """One person.

    Attributes:
        lengths (np.ndarray): ``(V,)``, bone lengths in metres.
        posture (np.ndarray): ``(V, 3)``, degrees: this person at ease.
        tempo (float): Pace, 1 on average; 2 is twice as fast.
        amplitude (np.ndarray): ``(V, 1)``, how far this person moves each
            joint, 1 on average.
        left_handed (bool): Whether one-handed actions are mirrored.
    """
    lengths: np.ndarray
    posture: np.ndarray
    tempo: float
    amplitude: np.ndarray
    left_handed: bool


def make_subject(rng: np.random.Generator) -> Subject:
    """Draw a person."""
    proportions = {part: np.exp(rng.normal(0, .05)) for part in SKELETON}
    return Subject(
        lengths=bone_lengths(rng.uniform(1.52, 1.92), proportions),
        posture=AT_EASE + LOOSENESS * rng.normal(
            0, POSTURE_SPREAD, AT_EASE.shape),
        tempo=np.exp(rng.normal(0, .16)),
        amplitude=np.clip(
            rng.normal(1, .08) + rng.normal(0, .06, (NUM_JOINTS, 1)), .7,
            1.3),
        left_handed=rng.random() > RIGHT_HANDED)
