# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""PKU-MMD: long videos, cut into clips of one action each.

Liu et al., PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human
Action Understanding, 2017.
"""
import re
from itertools import chain
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set

import numpy as np

from ..layouts import NTU25
from .errors import BadFileError

CLASSES = (
    'bow', 'brushing hair', 'brushing teeth', 'check time (from watch)',
    'cheer up', 'clapping', 'cross hands in front (say stop)', 'drink water',
    'drop', 'eat meal/snack', 'falling', 'giving something to other person',
    'hand waving', 'handshaking', 'hopping (one foot jumping)',
    'hugging other person', 'jump up', 'kicking other person',
    'kicking something', 'make a phone call/answer phone',
    'pat on back of other person', 'pickup', 'playing with phone/tablet',
    'point finger at the other person', 'pointing to something with finger',
    'punching/slapping other person', 'pushing other person',
    'put on a hat/cap', 'put something inside pocket', 'reading',
    'rub two hands together', 'salute', 'sitting down', 'standing up',
    'take off a hat/cap', 'take off glasses', 'take off jacket',
    'take out something from pocket', 'taking a selfie', 'tear up paper',
    'throw', 'touch back (backache)', 'touch chest (stomachache/heart pain)',
    'touch head (headache)', 'touch neck (neckache)', 'typing on a keyboard',
    'use a fan (with hand or paper)/feeling warm', 'wear jacket',
    'wear on glasses', 'wipe face', 'writing')
# As everywhere in the field.
MAX_FRAMES = 300
_NUM_PERSONS = 2
_NUM_VALUES = _NUM_PERSONS * NTU25.num_joints * 3
_VIDEO = re.compile(r'\w+-[LMR]', re.ASCII)


class Action(NamedTuple):
    """A line of a label file: the class from 1, rows [start, end)."""
    line: int
    label: int
    start: int
    end: int


def check_name(video: str) -> None:
    """Look at the name of a video.

    Raises:
        BadFileError: If it does not end in a view, as ``0002-L`` does.
    """
    if _VIDEO.fullmatch(video) is None:
        raise BadFileError(
            'its name is not like 0002-L.txt (the views are L, M and R)')


def read_frames(path: Path) -> np.ndarray:
    """Read a skeleton file: one line a frame, of 150 numbers.

    Returns:
        np.ndarray: Shape (2, T, 25, 3), float32, metres.

    Raises:
        BadFileError: With the line at fault.
    """
    text = path.read_bytes().replace(b'_', b'?')  # float() passes over _
    rows = [line.split() for line in text.splitlines()]
    while rows and not rows[-1]:
        rows.pop()
    for i, row in enumerate(rows, 1):
        if len(row) != _NUM_VALUES:
            raise BadFileError(
                f'line {i} of {len(rows)} has {len(row)} numbers, not '
                f'{_NUM_VALUES} (2 persons, 25 joints, x y z)')
    if not rows:
        raise BadFileError('it is empty')
    try:
        values = np.fromiter(map(float, chain.from_iterable(rows)), float)
    except ValueError:
        raise _not_a_number(rows) from None
    with np.errstate(over='ignore'):  # infinity is found below
        frames = values.reshape(-1, _NUM_VALUES).astype(np.float32)
    strange = np.argwhere(~np.isfinite(frames))
    if len(strange):
        row, place = strange[0]
        raise BadFileError(
            f'number {place + 1} of line {row + 1} is {frames[row, place]}')
    persons = frames.reshape(len(rows), _NUM_PERSONS, NTU25.num_joints, 3)
    return persons.swapaxes(0, 1)


def _not_a_number(rows: Sequence[Sequence[bytes]]) -> BadFileError:
    for i, row in enumerate(rows, 1):
        for word in row:
            try:
                float(word)
            except ValueError:
                return BadFileError(f'line {i}: {word!r} is not a number')
    raise AssertionError('every word is a number')


def read_actions(path: Path) -> List[Action]:
    """Read a label file: ``label,start,end,confidence`` lines.

    Raises:
        BadFileError: With the line at fault.
    """
    actions = []
    for i, line in enumerate(path.read_bytes().splitlines(), 1):
        words = line.strip().rstrip(b',').split(b',')
        if words == [b'']:
            continue
        try:
            label, start, end = (int(word) for word in words[:3])
        except ValueError:
            raise BadFileError(
                f'line {i} of its labels is {line[:40]!r}, not '
                'label,start,end,confidence') from None
        actions.append(Action(i, label, start, end))
    return actions


def cut_clip(frames: np.ndarray, action: Action) -> Optional[np.ndarray]:
    """Cut an action out of a video.

    Args:
        frames (np.ndarray): See :func:`read_frames`.
        action (Action): Rows beyond the end of the video are passed over.

    Returns:
        np.ndarray, optional: Shape (M, T, 25, 3), the first 300 frames at
        most; persons that are all zero are left out. None: nobody is there.

    Raises:
        BadFileError: If the line makes no sense.
    """
    line, label, start, end = action
    if not 1 <= label <= len(CLASSES):
        raise BadFileError(
            f'line {line} of its labels says class {label}: they are 1 to '
            f'{len(CLASSES)}')
    if not 0 <= start < min(end, frames.shape[1]):
        raise BadFileError(
            f'line {line} of its labels says rows {start} to {end}, the '
            f'video has {frames.shape[1]}')
    clip = frames[:, start:min(end, start + MAX_FRAMES)]
    present = clip.any((1, 2, 3))
    return np.ascontiguousarray(clip[present]) if present.any() else None


def find_split_file(folder: Path, protocol: str, part: int) -> Path:
    """Find the file of a protocol, whose name differs between releases.

    Args:
        folder (Path): Where to look.
        protocol (str): ``'subject'`` or ``'view'``.
        part (int): 1 or 2. Of part 2 the files may end in ``_v2``.

    Raises:
        FileNotFoundError: If there is none.
    """
    names = [f'cross_{protocol}_v{part}', f'cross_{protocol}']
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for name in names:
        for path in files:
            if path.name.lower().replace('-', '_') == f'{name}.txt':
                return path
    raise FileNotFoundError(
        f'there is no {" or ".join(f"{name}.txt" for name in names)} in '
        f'{folder} (with - or _): it comes with the data set')


def read_training_videos(path: Path) -> Set[str]:
    """Read a split file, whose second line lists the training videos.

    Raises:
        ValueError: If there is no such list.
    """
    lines = path.read_text('utf-8', errors='replace').splitlines()
    names = {name.strip() for name in ''.join(lines[1:2]).split(',')} - {''}
    wrong = sorted(x for x in names if _VIDEO.fullmatch(x) is None)
    if wrong or not names:
        raise ValueError(
            f'{path}: line 2 must list the training videos, such as 0002-L, '
            f'0003-L; look at {wrong[:3] or "the file: it has none"}')
    return names


def make_splits(clips: Iterable[dict],
                training: Dict[str, Set[str]]) -> Dict[str, List[str]]:
    """Divide clips by their videos.

    Args:
        clips (Iterable[dict]): With ``frame_dir`` and ``video``.
        training (dict[str, set[str]]): Of each protocol, the videos of the
            training set. All others are for validation.

    Returns:
        dict[str, list[str]]: ``<protocol>_train`` and ``<protocol>_val``.
    """
    splits: Dict[str, List[str]] = {
        f'{protocol}_{part}': []
        for protocol in training for part in ('train', 'val')
    }
    for clip in clips:
        for protocol, videos in training.items():
            part = 'train' if clip['video'] in videos else 'val'
            splits[f'{protocol}_{part}'].append(clip['frame_dir'])
    return splits
