# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A cell of a suite, one method on one data set with one seed, and its
record on disk."""
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence

from skel_ssl.utils.files import write_json

from .suite import Suite

# Changes when a change of this package changes figures.
BENCHMARK_VERSION = 'benchmark/1'


@dataclass(frozen=True)
class Cell:
    """One method on one data set with one seed.

    Args:
        method (str): Name of the method.
        data (str): Name of the data set.
        seed (int, optional): None if there is nothing random.
    """
    method: str
    data: str
    seed: Optional[int]

    def __str__(self) -> str:
        parts = (self.method, self.data, self.seed)
        return '/'.join(str(part) for part in parts if part is not None)

    @property
    def stem(self) -> str:
        """How its files are called."""
        return self.method + ('' if self.seed is None else f'_s{self.seed}')

    def record_path(self, work_dir: Path) -> Path:
        """Where its record is."""
        return work_dir / 'results' / self.data / f'{self.stem}.json'

    def folder(self, work_dir: Path) -> Path:
        """Where its runs are."""
        return work_dir / 'runs' / self.data / self.stem


def cells_of(suite: Suite) -> List[Cell]:
    """All cells; those of the first seed come first, so that a table of all
    methods is there early."""
    cells = []
    for i, seed in enumerate(suite.seeds):
        for data in suite.datasets:
            for method in suite.methods_on(data.name):
                if method.seeded:
                    cells.append(Cell(method.name, data.name, seed))
                elif i == 0:
                    cells.append(Cell(method.name, data.name, None))
    return cells


def select(cells: Iterable[Cell], patterns: Sequence[str]) -> List[Cell]:
    """The cells that fit one of the patterns, in their order.

    Args:
        cells (Iterable[Cell]): The cells.
        patterns (Sequence[str]): ``method``, ``method/data`` or
            ``method/data/seed``, each part with ``*`` for anything. None
            given: all cells.

    Raises:
        ValueError: If a pattern fits no cell.
    """
    cells = list(cells)
    chosen = set()
    for pattern in patterns:
        fitting = {cell for cell in cells if _fits(cell, pattern)}
        if not fitting:
            raise ValueError(
                f'--only {pattern}: no cell fits; they are method/data/seed, '
                f'such as {cells[-1]} (--dry-run lists them)')
        chosen |= fitting
    return [cell for cell in cells if not patterns or cell in chosen]


def _fits(cell: Cell, pattern: str) -> bool:
    parts, wanted = str(cell).split('/'), pattern.split('/')
    return len(wanted) <= len(parts) and all(
        fnmatchcase(part, want) for part, want in zip(parts, wanted))


def read_record(path: Path) -> Optional[Dict[str, Any]]:
    """A cell's record, None if there is none.

    Raises:
        ValueError: If the file is none.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not JSON ({error}); delete it, and the '
                         'cell is made anew') from error
    if not isinstance(record, dict) or not isinstance(
            record.get('stages'), dict):
        raise ValueError(f'{path} is no record of a cell; delete it, and the '
                         'cell is made anew')
    return record


def new_record(suite: Suite, cell: Cell) -> Dict[str, Any]:
    """The record of a cell before anything has run."""
    method = suite.method(cell.method)
    return dict(
        protocol=BENCHMARK_VERSION,
        suite=suite.name,
        method=cell.method,
        title=method.title,
        kind=method.kind,
        data=cell.data,
        seed=cell.seed,
        state='not run',
        stages={})


def write_record(path: Path, record: Dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
