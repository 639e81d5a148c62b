# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Recordings of one's own: CSV, JSON or NumPy files, one a clip."""
import csv
import difflib
import json
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..layouts import SkeletonLayout
from .errors import BadFileError
from .npy import read_npy, read_npz

_AXES = ('x', 'y', 'z')
_SCORE = 'score'
# Of a message: names in it, and names that one of them is compared with.
_MOST_NAMES, _MOST_COMPARED = 6, 500
_MOST_PERSONS = 10  # in fewer frames: the axes have changed places
# Of the places of persons in frames, one in so many is taken, at least.
_MAX_PLACES = 100


class Recording(NamedTuple):
    """What was recorded.

    Attributes:
        keypoint (np.ndarray): Shape (M, T, V, C), float32, C is 2 or 3.
        score (np.ndarray, optional): Shape (M, T, V), float32.
    """
    keypoint: np.ndarray
    score: Optional[np.ndarray] = None


def read_recording(path: Path, layout: SkeletonLayout) -> Recording:
    """Read a recording, of a kind that its name tells.

    - ``.csv``: a header, then one row a frame (and person): ``frame``,
      ``person`` if there are several, and ``<joint>_x``, ``<joint>_y``,
      ``<joint>_z`` of each joint of the layout; without ``_z`` it is 2D, with
      ``<joint>_score`` if they are known. Rows are sorted by ``frame``, and
      persons by ``person``; who has no row in a frame is absent from it.
      Frames that are left out between others stay, with nobody in them, if
      ``frame`` counts in whole numbers and equal steps.
    - ``.json``: an object with ``frames``, (T, V, C) or (M, T, V, C), and if
      they are known ``scores``, without the last axis. ``joints`` names the
      joints, if their order is not the layout's.
    - ``.npy``: an array, (T, V, C) or (M, T, V, C).
    - ``.npz``: such an array as ``keypoint``, and if they are known the
      ``keypoint_score``, without the last axis.

    Args:
        path (Path): The file.
        layout (SkeletonLayout): Whose joints were recorded.

    Raises:
        BadFileError: If the file cannot be used.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadFileError(
            f'{path.suffix!r} files are not read: {", ".join(READERS)} are')
    return reader(path, layout)


def _read_csv(path: Path, layout: SkeletonLayout) -> Recording:
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = [[cell.strip() for cell in row]
                    for row in csv.reader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFileError(f'it is not CSV in UTF-8: {error}') from None
    header, body = (rows or [[]])[0], [row for row in rows[1:] if any(row)]
    suffixes = _check_columns(header, layout)
    if not body:
        raise BadFileError('it has no rows below its header')
    table = _numbers(header, body)
    frames, frame = _with_gaps(*_places(table, header, 'frame'))
    persons, person = _places(table, header, 'person')
    if len(persons) * len(frames) > _MAX_PLACES * len(table):
        raise BadFileError(
            f'its {len(table)} rows are of {len(persons)} persons in '
            f'{len(frames)} frames, so hardly anybody is there: are the '
            'columns "frame" and "person" right?')
    column = dict(zip(header, _to_float32(table).T))
    values = np.zeros((len(persons), len(frames), layout.num_joints,
                       len(suffixes)), np.float32)
    taken = np.zeros(values.shape[:2], int)
    np.add.at(taken, (person, frame), 1)
    if taken.max() > 1:
        who, when = np.argwhere(taken > 1)[0]
        raise BadFileError(
            f'there are {taken.max()} rows for person {persons[who]:g} in '
            f'frame {frames[when]:g}: several persons need a column "person"')
    for i, joint in enumerate(layout.joints):
        for j, suffix in enumerate(suffixes):
            values[person, frame, i, j] = column[f'{joint}_{suffix}']
    if suffixes[-1] == _SCORE:
        return Recording(values[..., :-1], values[..., -1])
    return Recording(values)


def _places(table: np.ndarray, header: Sequence[str],
            name: str) -> Tuple[np.ndarray, np.ndarray]:
    """What a column counts, sorted, and the place of each row in it."""
    if name not in header:
        return np.zeros(1), np.zeros(len(table), int)
    column = table[:, header.index(name)]
    strange = np.flatnonzero(~np.isfinite(column))
    if len(strange):
        raise BadFileError(f'row {strange[0] + 1}, {name}: '
                           f'{column[strange[0]]} is no number of a {name}')
    return np.unique(column, return_inverse=True)


def _with_gaps(frames: np.ndarray,
               frame: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """With the frames that were left out, where those that are there count
    in whole numbers and steps that are multiples of the usual one."""
    steps = np.diff(frames)
    step = np.median(steps) if len(steps) else 1.
    if step % 1 or (frames % 1).any() or (steps % step).any():
        return frames, frame  # times, say
    count = round((frames[-1] - frames[0]) / step) + 1
    if count > _MAX_PLACES * len(frame):
        raise BadFileError(
            f'its {len(frames)} frames are numbered from {frames[0]:g} to '
            f'{frames[-1]:g}, so hardly anybody is there: is the column '
            '"frame" right?')
    place = np.round((frames - frames[0]) / step).astype(int)
    return frames[0] + step * np.arange(count), place[frame]


def _check_columns(header: Sequence[str],
                   layout: SkeletonLayout) -> List[str]:
    """What each joint has: x, y, perhaps z, perhaps score."""
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise BadFileError(
            f'its header has {twice[:_MOST_NAMES]} more than once')
    suffixes = list(_AXES[:2])
    for suffix in (_AXES[2], _SCORE):
        if any(name.endswith(f'_{suffix}') for name in header):
            suffixes.append(suffix)
    wanted = ['frame'] + [f'{joint}_{suffix}' for joint in layout.joints
                          for suffix in suffixes]
    missing = _without(wanted, header)
    unknown = _without(header, [*wanted, 'person'])
    if len(header) == 1:
        for mark, name in ((';', 'semicolons'), ('\t', 'tabs')):
            if mark in header[0]:
                raise BadFileError(
                    f'its columns are separated by {name}: write commas (and '
                    'a point in decimals)')
    if missing or unknown:
        raise BadFileError(
            f'its columns are not those of layout {layout.name!r}: '
            f'{_compare(missing, unknown)}. They are "frame", "person" if '
            'there are several, and <joint>_x, <joint>_y, perhaps <joint>_z '
            'and <joint>_score of each joint')
    return suffixes


def _without(names: Sequence[str], others: Sequence[str]) -> List[str]:
    left_out = set(others)
    return [name for name in names if name not in left_out]


def _compare(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """Names that are missing, and those that may stand in their place."""
    lines = []
    for kind, names, others in (('missing', missing, unknown),
                                ('unknown', unknown, missing)):
        shown = []
        for name in names[:_MOST_NAMES]:
            near = difflib.get_close_matches(name, others[:_MOST_COMPARED], 1)
            shown.append(f'{name} (is it {near[0]}?)' if near else name)
        if names:
            more = ', ...' if len(names) > _MOST_NAMES else ''
            lines.append(f'{len(names)} {kind}: {", ".join(shown)}{more}')
    return '; '.join(lines)


def _numbers(header: Sequence[str],
             rows: Sequence[Sequence[str]]) -> np.ndarray:
    """The numbers of all cells, (rows, columns)."""
    table = np.empty((len(rows), len(header)))
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise BadFileError(
                f'row {i + 1} has {len(row)} cells, the header {len(header)}')
        for j, cell in enumerate(row):
            try:
                # float() would read 1_0 as 10
                table[i, j] = float(cell.replace('_', '?'))
            except ValueError:
                raise BadFileError(
                    f'row {i + 1}, {header[j]}: {cell!r} is not a number. '
                    'Fill gaps of a joint, or leave the row out where the '
                    'person is absent') from None
    return table


def _read_json(path: Path, layout: SkeletonLayout) -> Recording:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadFileError(f'it is not JSON ({error})') from None
    if not isinstance(content, dict) or 'frames' not in content:
        what = (f'an object with {sorted(content)[:_MOST_NAMES]}'
                if isinstance(content, dict) else
                f'a {type(content).__name__}')
        raise BadFileError(
            f'it is {what}, not an object with the numbers of each frame as '
            '"frames"')
    keypoint = _json_array(content, 'frames')
    score = content.get('scores')
    if score is not None:
        score = _json_array(content, 'scores')
    recording = _shaped(keypoint, score)
    names = content.get('joints', list(layout.joints))
    if not isinstance(names, list) or not all(
            isinstance(name, str) for name in names):
        raise BadFileError('its "joints" are not a list of names')
    missing = _without(layout.joints, names)
    unknown = _without(names, layout.joints)
    if missing or unknown or len(names) != layout.num_joints:
        raise BadFileError(
            f'its "joints" are not those of layout {layout.name!r}: '
            f'{_compare(missing, unknown) or "one is there twice"}')
    if recording.keypoint.shape[2] != layout.num_joints:
        return recording  # for the caller to refuse
    order = [names.index(name) for name in layout.joints]
    return Recording(*(part if part is None else part[:, :, order]
                       for part in recording))


def _json_array(content: Dict[str, object], name: str) -> np.ndarray:
    """The numbers in nested lists.

    Raises:
        BadFileError: If one is missing, or the lists are of unlike lengths.
    """
    values = content[name]
    try:
        return _to_float32(np.array(values, np.float64))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        try:
            fault = _json_fault(values, f'"{name}"')
        except RecursionError:
            fault = None
        raise BadFileError(fault or f'its "{name}" are no array of numbers '
                           f'({error})') from None


def _json_fault(values: object, where: str) -> Optional[str]:
    """The first thing in nested lists that no array can hold."""
    if not isinstance(values, list):
        if isinstance(values, (int, float)):
            return None
        shown = 'null' if values is None else json.dumps(values)[:40]
        return (f'{where} is {shown}, not a number. Fill gaps of a joint, or '
                'write 0 for all joints of a person who is absent')
    lengths = [len(x) if isinstance(x, list) else -1 for x in values]
    usual = Counter(lengths).most_common(1)[0][0] if lengths else 0
    for i, (value, length) in enumerate(zip(values, lengths)):
        place = f'{where}[{i}]'
        if length != usual:
            fault = None if length >= 0 else _json_fault(value, place)
            return fault or (f'{place} has {max(length, 0)} entries, most '
                             f'others have {max(usual, 0)}')
        fault = _json_fault(value, place)
        if fault is not None:
            return fault
    return None


def _read_npy(path: Path, layout: SkeletonLayout) -> Recording:
    return _shaped(_numeric(read_npy(path)))


def _read_npz(path: Path, layout: SkeletonLayout) -> Recording:
    arrays = read_npz(path, ('keypoint', 'keypoint_score'))
    if 'keypoint' not in arrays:
        raise BadFileError('it is not a NumPy file with a "keypoint" in it')
    return _shaped(*map(_numeric, arrays.values()))


def _numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in 'fiu':
        raise BadFileError(f'it holds {array.dtype}, not numbers')
    return _to_float32(array)


def _to_float32(array: np.ndarray) -> np.ndarray:
    with np.errstate(over='ignore'):  # whoever reads infinity refuses it
        return array.astype(np.float32)


def _shaped(keypoint: np.ndarray,
            score: Optional[np.ndarray] = None) -> Recording:
    """With an axis for persons."""
    if keypoint.ndim == 3:
        keypoint = keypoint[None]
        score = None if score is None else score[None]
    if keypoint.ndim != 4 or keypoint.shape[3] not in (2, 3):
        raise BadFileError(
            f'its coordinates have shape {keypoint.shape}, not (frames, '
            'joints, 2 or 3), nor persons before that')
    if keypoint.shape[0] > max(keypoint.shape[1], _MOST_PERSONS):
        raise BadFileError(
            f'its coordinates have shape {keypoint.shape}, which is '
            f'{keypoint.shape[0]} persons in {keypoint.shape[1]} frames: '
            'persons come first, then frames')
    if score is not None and score.shape != keypoint.shape[:3]:
        raise BadFileError(
            f'its scores have shape {score.shape}, and its coordinates '
            f'{keypoint.shape}: one score for each joint is needed')
    return Recording(keypoint, score)


READERS: Dict[str, Callable[[Path, SkeletonLayout], Recording]] = {
    '.csv': _read_csv,
    '.json': _read_json,
    '.npy': _read_npy,
    '.npz': _read_npz
}
