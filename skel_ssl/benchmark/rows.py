# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a table is made of, before it is Markdown, HTML or text."""
from dataclasses import dataclass, field
from typing import Any, List, Mapping

from .cells import Cell, cells_of
from .suite import KINDS, DataSet, Method, Suite

NONE = '–'  # the method has no such figure
NOT_RUN = 'not run'

Records = Mapping[Cell, Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Args:
        text (str): What everybody shows.
        detail (str): What only a page has room for.
    """
    text: str
    detail: str = ''


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title (str): Its heading.
        head (list[str]): Titles of the columns.
        rows (list[list[Entry]]): The cells.
        notes (list[str]): What stands below it.
        folded (bool): Whether it is for those who look closer.
    """
    title: str
    head: List[str]
    rows: List[List[Entry]]
    notes: List[str] = field(default_factory=list)
    folded: bool = False


@dataclass(frozen=True)
class Row:
    """A method in the table of a data set.

    Args:
        title (str): Its name.
        method (Method): The method.
        records (list[dict]): Those of its cells that are there.
        stage (str): The stage of its frozen evaluation.
        finetuned (bool): Whether its fine-tuning is of this data set.
        expected (int): The number of cells that there should be.
    """
    title: str
    method: Method
    records: List[Mapping[str, Any]]
    stage: str
    finetuned: bool
    expected: int


def rows_of(suite: Suite, data: DataSet, records: Records) -> List[Row]:
    """Floors, methods, ceilings; encoders from elsewhere stand below those of
    the same method."""
    cells = cells_of(suite)

    def row(method: Method, home: DataSet) -> Row:
        mine = [c for c in cells
                if (c.method, c.data) == (method.name, home.name)]
        there = [records[cell] for cell in mine if cell in records]
        if home is data:
            return Row(method.title, method, there, 'frozen', True, len(mine))
        return Row(f'{method.title}, pre-trained on {home.title}', method,
                   there, f'transfer_{data.name}', False, len(mine))

    rows = []
    for method in sorted(suite.methods, key=lambda m: KINDS.index(m.kind)):
        homes = [data] + [
            home for home in suite.datasets
            if data.name in suite.transfers.get(home.name, ())
            and method.pretrain and method.frozen
        ]
        rows += [row(method, home) for home in homes
                 if method in suite.methods_on(home.name)]
    return rows


def stages_of_row(row: Row) -> List[str]:
    """The stages whose figures a row has: of a transfer none of the
    fine-tuning, which is that of another data set."""
    return [row.stage, *(['finetune'] if row.finetuned else [])]


def title_of(row: Row) -> Entry:
    """The first cell of a row."""
    kind = '' if row.method.kind == 'method' else f' ({row.method.kind})'
    return Entry(row.title + kind)
