# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Recordings of one's own: CSV, JSON or NumPy files, one a clip."""
import csv
import difflib
import json
import zipfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from ..layouts import SkeletonLayout
from .errors import BadFileError

_AXES = ('x', 'y', 'z')
_SCORE = 'score'


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
    column = {name: table[:, i] for i, name in enumerate(header)}
    frames, frame = np.unique(column['frame'], return_inverse=True)
    persons, person = np.unique(
        column.get('person', np.zeros(len(table))), return_inverse=True)
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


def _check_columns(header: Sequence[str],
                   layout: SkeletonLayout) -> List[str]:
    """What each joint has: x, y, perhaps z, perhaps score."""
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadFileError(f'its header has {twice} more than once')
    suffixes = list(_AXES[:2])
    for suffix in (_AXES[2], _SCORE):
        if any(name.endswith(f'_{suffix}') for name in header):
            suffixes.append(suffix)
    wanted = ['frame'] + [f'{joint}_{suffix}' for joint in layout.joints
                          for suffix in suffixes]
    missing = [name for name in wanted if name not in header]
    unknown = [name for name in header if name not in (*wanted, 'person')]
    if missing or unknown:
        raise BadFileError(
            f'its columns are not those of layout {layout.name!r}: '
            f'{_compare(missing, unknown)}. They are "frame", "person" if '
            'there are several, and <joint>_x, <joint>_y, perhaps <joint>_z '
            'and <joint>_score of each joint')
    return suffixes


def _compare(missing: Sequence[str], unknown: Sequence[str],
             most: int = 6) -> str:
    """Names that are missing, and those that may stand in their place."""
    lines = []
    for kind, names, others in (('missing', missing, unknown),
                                ('unknown', unknown, missing)):
        shown = []
        for name in names[:most]:
            near = difflib.get_close_matches(name, others, 1)
            shown.append(f'{name} (is it {near[0]}?)' if near else name)
        if names:
            more = ', ...' if len(names) > most else ''
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
                table[i, j] = float(cell)
            except ValueError:
                raise BadFileError(
                    f'row {i + 1}, {header[j]}: {cell!r} is not a number. '
                    'Fill gaps of a joint, or leave the row out where the '
                    'person is absent') from None
    return table


def _read_json(path: Path, layout: SkeletonLayout) -> Recording:
    try:
        content = json.loads(path.read_bytes())
        keypoint = np.array(content['frames'], np.float32)
        score = content.get('scores')
        score = None if score is None else np.array(score, np.float32)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFileError(
            'it is not JSON with the numbers of each frame as "frames" '
            f'({type(error).__name__}: {error})') from None
    recording = _shaped(keypoint, score)
    names = content.get('joints', list(layout.joints))
    missing = [name for name in layout.joints if name not in names]
    unknown = [str(name) for name in names if name not in layout.joints]
    if missing or unknown or len(names) != layout.num_joints:
        raise BadFileError(
            f'its "joints" are not those of layout {layout.name!r}: '
            f'{_compare(missing, unknown) or "one is there twice"}')
    if recording.keypoint.shape[2] != layout.num_joints:
        return recording  # for the caller to refuse
    order = [names.index(name) for name in layout.joints]
    return Recording(*(part if part is None else part[:, :, order]
                       for part in recording))


def _read_npy(path: Path, layout: SkeletonLayout) -> Recording:
    return _shaped(*_load_arrays(path, None))


def _read_npz(path: Path, layout: SkeletonLayout) -> Recording:
    return _shaped(*_load_arrays(path, ('keypoint', 'keypoint_score')))


def _load_arrays(path: Path, keys: Optional[Sequence[str]]) -> List:
    try:
        content = np.load(path, allow_pickle=False)
        if keys is None:
            arrays = [content]
        else:
            with content:
                arrays = [content[keys[0]], *(content[key] for key in keys[1:]
                                              if key in content)]
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadFileError(
            f'it is not a NumPy file with numbers ({error})') from None
    for array in arrays:
        if array.dtype.kind not in 'fiu':
            raise BadFileError(f'it holds {array.dtype}, not numbers')
    return [array.astype(np.float32) for array in arrays]


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
    return Recording(keypoint, score)


READERS: Dict[str, Callable[[Path, SkeletonLayout], Recording]] = {
    '.csv': _read_csv,
    '.json': _read_json,
    '.npy': _read_npy,
    '.npz': _read_npz
}
