# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The tables as Markdown, as a page and on the terminal."""
import re
from pathlib import Path
from typing import Any, List, Mapping, Sequence

import rich.table
from rich.console import Console

import skel_ssl
from skel_ssl.evaluation.frozen import PROTOCOL_VERSION
from skel_ssl.report.html import Html, Section, code, join, source, tag
from skel_ssl.report.html import table as html_table
from skel_ssl.report.style import CSS
from skel_ssl.utils.files import replacing

from .cells import BENCHMARK_VERSION
from .rows import Entry, Table
from .suite import Suite

_LABEL = 24  # columns of a terminal, if it is narrow
_CSS = '''
main td:first-child, main th:first-child { position: sticky; left: 0;
  background: var(--card); }
main th:first-child { background: var(--soft); }
.detail { display: block; font-size: .75rem; color: var(--faint); }
'''


def footnotes(suite: Suite) -> List[str]:
    """How the tables are to be read, a paragraph each.

    Args:
        suite (Suite): The suite.
    """
    probe = suite.probe
    lines = [
        'Top-1 accuracy in %, mean ± sample standard deviation over '
        f'{len(suite.seeds)} seeds ({", ".join(map(str, suite.seeds))}), each '
        'with a pre-training, a random encoder or a fine-tuning of its own; '
        'raw coordinates have no seed. The figure of a seed is the mean over '
        'its probes or its subsets of the labels. All figures are reproduced '
        'here, none is from a paper.',
        '95 % intervals: over test clips (Wilson, at the mean), and of the '
        'mean over seeds (Student). They hold different things fixed; neither '
        'contains the other.',
        f'Protocol {PROTOCOL_VERSION}, {BENCHMARK_VERSION}: last epoch of '
        'every training, the test clips are read once; persons: '
        f'{suite.persons}.'
    ]
    if suite.protocols and any(m.frozen for m in suite.methods):
        copies = (f'the training clips and {probe.views} augmented copies of '
                  'each' if probe.views else 'the training clips')
        lines.append(
            f'Frozen encoder: probes on {copies}, their setting chosen by '
            'cross-validation over subjects, or over recordings or clips '
            'where no subject is known. Linear: batch norm and '
            f'{probe.epochs} epochs of SGD. Logistic: the same layer at the '
            'optimum of a penalised loss. The best '
            'read-out is the one with the highest cross-validated accuracy, '
            'mean over seeds, so no test clip has a part in the choice; '
            'neighbours and few labels are of that read-out, too. Raw '
            'coordinates look for neighbours among all frames, one after the '
            'other (flat).')
    kinds = {method.kind for method in suite.methods}
    if 'floor' in kinds:
        lines.append('Floors are what costs no pre-training.')
    if 'ceiling' in kinds:
        lines.append('Ceilings learn from all labels, from random weights.')
    return lines


def as_markdown(suite: Suite, tables: Sequence[Table]) -> str:
    """The tables for a document; those that are folded are left out."""
    parts = [f'# {suite.title}']
    for one in tables:
        if not one.folded:
            parts += [f'## {one.title}', _markdown_table(one), *one.notes]
    return '\n\n'.join([*parts, '## Notes', *footnotes(suite)]) + '\n'


def _markdown_table(one: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return '| ' + ' | '.join(x.replace('|', '\\|') for x in cells) + ' |'

    rule = '|' + '|'.join(['---'] + ['---:'] * (len(one.head) - 1)) + '|'
    return '\n'.join([line(one.head), rule,
                      *(line([x.text for x in row]) for row in one.rows)])


def as_html(suite: Suite, tables: Sequence[Table], command: str) -> Html:
    """The tables as a page of its own.

    Args:
        suite (Suite): The suite.
        tables (Sequence[Table]): All tables.
        command (str): The call that makes the page.
    """
    sections = [
        Section(f'table-{i}', one.title, _section(one), folded=one.folded)
        for i, one in enumerate(tables)
    ]
    notes = join(*(tag('p', line) for line in footnotes(suite)))
    sections.append(Section('notes', 'Notes', notes))
    links = tag('nav', tag('ul', *(
        tag('li', tag('a', section.title, href=f'#{section.name}'))
        for section in sections if not section.folded)),
        aria_label='Contents')
    return join(
        Html('<!DOCTYPE html>\n'),
        tag('html',
            tag('head', tag('meta', charset='utf-8'),
                tag('meta', name='viewport',
                    content='width=device-width, initial-scale=1'),
                tag('meta', name='color-scheme', content='light dark'),
                tag('title', suite.title), tag('style', Html(CSS + _CSS))),
            tag('body',
                tag('header', tag('h1', suite.title), links),
                tag('main', *(section.html() for section in sections)),
                tag('footer', tag('p', 'Made by skel_ssl ',
                                  skel_ssl.__version__, ', ', code(command),
                                  '.'))), lang='en'), '\n')


def _section(one: Table) -> Html:
    rows = [[_cell(x) for x in row] for row in one.rows]
    return join(html_table(one.head, rows), *map(source, one.notes))


def _cell(entry: Entry) -> Any:
    if not entry.detail:
        return entry.text
    return join(entry.text, tag('span', entry.detail, class_='detail'))


def show(console: Console, suite: Suite, tables: Sequence[Table]) -> None:
    """Print the tables, in as many pieces as it takes; those that are folded
    are left out."""
    for one in tables:
        if one.folded:
            continue
        for columns in _side_by_side(one, console.width):
            shown = rich.table.Table(title=one.title, title_justify='left')
            for i in columns:
                labels = i < _num_labels(one)
                shown.add_column(one.head[i],
                                 justify='left' if labels else 'right',
                                 width=None if labels else _width(one, i))
            for row in one.rows:
                shown.add_row(*(row[i].text for i in columns))
            console.print(shown)
        for note in one.notes:
            console.print(note, style='dim', highlight=False)
    for line in footnotes(suite):
        console.print(line, style='dim', highlight=False)


def _num_labels(one: Table) -> int:
    """How many columns say what a row is: up to the one without a title."""
    return one.head.index('') + 1


def _width(one: Table, column: int) -> int:
    """What it takes not to break a figure; its title and what stands in
    brackets may have lines of their own."""
    parts = [*one.head[column].split(),
             *(part for row in one.rows
               for part in re.split(r' (?=[(\[])', row[column].text))]
    return max(map(len, parts))


def _side_by_side(one: Table, width: int) -> List[List[int]]:
    """The columns of each piece of a table that is too wide; the labels are
    in all of them."""
    labels = list(range(_num_labels(one)))
    widths = [_width(one, i) + 3 for i in range(len(one.head))]  # and rules
    room = width - 1 - sum(min(widths[i], _LABEL) for i in labels)
    pieces: List[List[int]] = []
    left = 0
    for i in range(len(labels), len(widths)):
        if not pieces or widths[i] > left:
            pieces.append([])
            left = room
        pieces[-1].append(i)
        left -= widths[i]
    return [labels + piece for piece in pieces]


def write_tables(folder: Path, suite: Suite, tables: Sequence[Table],
                 command: str) -> Mapping[str, Path]:
    """Write ``table.md`` and ``table.html``.

    Args:
        folder (Path): Where.
        suite (Suite): The suite.
        tables (Sequence[Table]): All tables.
        command (str): The call that makes them.

    Returns:
        dict[str, Path]: The files, by kind.
    """
    contents = dict(md=as_markdown(suite, tables),
                    html=as_html(suite, tables, command))
    paths = {}
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in contents.items():
        paths[kind] = folder / f'table.{kind}'
        with replacing(paths[kind]) as temporary:
            temporary.write_text(text, encoding='utf-8')
    return paths
