# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Makes .skeleton files whose content is known."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import numpy as np

from skel_ssl.datasets.layouts import NTU25

_BODY_LINE = '{} 0 1 1 1 1 0 0.0412 -0.1378 2'
_JOINT_LINE = '%.7g ' * 7 + '-0.1705678 0.04232755 0.9718983 -0.1566168 2'


class Track(NamedTuple):
    """A body: its number, its frames, its joints (n, 25, 3)."""
    body_id: int
    frames: Sequence[int]
    joints: np.ndarray


def standing(frames: int, rng: np.random.Generator, sway: float = .05,
             wide: bool = False) -> np.ndarray:
    """Somebody in front of the camera, (frames, 25, 3), whole micrometres.

    Taller than wide in every frame, or the other way round.
    """
    size = np.array([1.6, .3, .3]) if wide else np.array([.5, 1.7, .3])
    corners = np.stack([-size, size]) / 2
    body = rng.uniform(*corners, (NTU25.num_joints, 3))
    body[:2] = corners  # so wide and so high
    walk = rng.normal(0, sway, (frames, 1, 3)).cumsum(0)
    noise = rng.normal(0, .002, (frames, NTU25.num_joints, 3))
    place = rng.uniform([-1, -.5, 2], [1, .5, 4])
    return np.round(np.clip(body + walk + noise + place, -9, 9), 6)


def make_tracks(rng: np.random.Generator, num_frames: int) -> List[Track]:
    """One or two people; one may be lost and found again as another body."""
    tracks = []
    for _ in range(rng.integers(1, 3)):
        cuts = np.sort(rng.integers(0, num_frames, 2)) if (
            rng.random() < .3) else (num_frames, num_frames)
        for first, last in ((0, cuts[0]), (cuts[1], num_frames)):
            frames = np.arange(first, last)
            frames = frames[rng.random(len(frames)) > .02]  # gaps
            if len(frames):
                body_id = 72057594037900000 + int(rng.integers(1 << 16))
                tracks.append(
                    Track(body_id, frames, standing(len(frames), rng)))
    return tracks


def write_text(num_frames: int, tracks: Sequence[Track],
               end: str = '\n') -> bytes:
    """The text of a file; bodies of a frame in the order of the tracks."""
    frames: List[Dict[int, np.ndarray]] = [{} for _ in range(num_frames)]
    for track in tracks:
        for frame, joints in zip(track.frames, track.joints):
            frames[frame][track.body_id] = joints
    lines = [str(num_frames)]
    pattern = end.join([_JOINT_LINE] * NTU25.num_joints)
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body_id, joints in bodies.items():
            x, y, z = joints.T
            pixels = np.stack([365 * x / z + 256, 212 - 365 * y / z,
                               1060 * x / z + 970, 540 - 1060 * y / z], 1)
            row = np.concatenate([joints, pixels], 1)
            lines += [_BODY_LINE.format(body_id), str(len(joints)),
                      pattern % tuple(row.ravel())]
    return end.join([*lines, '']).encode()


def write_files(folder: Path, count: int, seed: int = 0, mean: int = 20,
                end: str = '\n') -> List[str]:
    """Files of NTU RGB+D 60 with 1 or 2 people; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        names.append(f'S{1 + i % 17:03}C{1 + i % 3:03}P{1 + i % 40:03}'
                     f'R{1 + i // 2040 % 2:03}A{1 + i // 4080:03}')
        num_frames = int(rng.integers(mean // 2, mean * 3 // 2 + 1))
        tracks = make_tracks(rng, num_frames)
        (folder / f'{names[-1]}.skeleton').write_bytes(
            write_text(num_frames, tracks, end))
    return names
