# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What each recording of one's own shows, and who trains."""
import csv
import random
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from .natural import natural_key

_COLUMNS = ('file', 'label', 'subject', 'split')
# Of each class in a random split.
_VAL_SHARE = 0.25


class Row(NamedTuple):
    """A row of the table."""
    label: str
    subject: Optional[str]
    split: Optional[str]


def read_labels(path: Path) -> Dict[str, Row]:
    """Read a CSV table: ``file``, ``label``, perhaps ``subject``, ``split``.

    Returns:
        dict[str, Row]: By the name of the file.

    Raises:
        ValueError: If the table is not like that.
    """
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            lines = [[cell.strip() for cell in row]
                     for row in csv.reader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} is not CSV in UTF-8: {error}') from None
    header = lines[0] if lines else []
    if (set(header) - set(_COLUMNS) or len(set(header)) < len(header)
            or not {'file', 'label'} <= set(header)):
        raise ValueError(
            f'{path}: its first line is {",".join(header)!r}, it must be '
            'file,label and perhaps subject and split')
    rows: Dict[str, Row] = {}
    for i, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        cells = dict(zip(header, line))
        if len(line) != len(header) or not all(line):
            raise ValueError(
                f'{path}, line {i}: {",".join(line)!r} must say '
                f'{", ".join(header)}')
        name = PurePosixPath(cells['file']).as_posix()
        if name in rows:
            raise ValueError(f'{path}, line {i}: {name!r} is there twice')
        rows[name] = Row(cells['label'], cells.get('subject'),
                         cells.get('split'))
    if not rows:
        raise ValueError(f'{path} has no rows below its header')
    return rows


def make_splits(clips: Iterable[Dict[str, Any]],
                rows: Dict[str, Row],
                seed: int = 0) -> Dict[str, List[str]]:
    """Divide clips by the table.

    By its column ``split``; or else by ``subject``, of which every second one
    validates; or else at random, a quarter of each class.

    Args:
        clips (Iterable[dict]): With ``frame_dir``, ``label`` and ``file``.
        rows (dict[str, Row]): See :func:`read_labels`.
        seed (int): Of the random split.

    Returns:
        dict[str, list[str]]: The names of each split, ``train`` and ``val``
        if they are not given.

    Raises:
        ValueError: If there is one subject only.
    """
    names = {clip['frame_dir']: rows[clip['file']] for clip in clips}
    first = next(iter(rows.values()))
    if first.split is not None:
        given: Dict[str, List[str]] = {}
        for name, row in names.items():
            given.setdefault(str(row.split), []).append(name)
        return given
    if first.subject is not None:
        held_out = _every_second(str(row.subject) for row in names.values())
        held_out = {x for x, row in names.items() if row.subject in held_out}
    else:
        held_out = _quarter({x: row.label for x, row in names.items()}, seed)
    return dict(
        train=[name for name in names if name not in held_out],
        val=[name for name in names if name in held_out])


def _every_second(subjects: Iterable[str]) -> set:
    ordered = sorted(set(subjects), key=natural_key)
    if len(ordered) == 1:
        raise ValueError(
            f'the only subject is {ordered[0]!r}: nobody is left to validate '
            'on. Say who trains in a column "split"')
    return set(ordered[1::2])


def _quarter(labels: Dict[str, str], seed: int) -> set:
    classes = defaultdict(list)
    for name, label in labels.items():
        classes[label].append(name)
    rng = random.Random(seed)
    return {name for label in sorted(classes) for name in rng.sample(
        sorted(classes[label]), round(_VAL_SHARE * len(classes[label])))}
