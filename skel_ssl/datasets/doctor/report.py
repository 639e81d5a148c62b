# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The report for the console."""
from typing import Any, Dict, List

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .examine import Examination
from .findings import (
    FAULT,
    KINDS,
    NOTE,
    SEVERITIES,
    WARNING,
    Finding,
    count,
    listing,
)
from .fix import Fix

_STYLES = {FAULT: 'bold red', WARNING: 'yellow', NOTE: 'dim'}
_NUM_NAMED = 3  # clips of a finding, without --verbose
_BAR = 40  # characters of the longest bar


def print_report(console: Console,
                 path: str,
                 found: Examination,
                 summary: Dict[str, Any],
                 verbose: bool = False) -> None:
    """Print the verdict, what was found and the tables.

    Args:
        console (Console): Where to.
        path (str): The file.
        found (Examination): What was found.
        summary (dict): See :func:`summarise`.
        verbose (bool): Whether to name every clip.
    """
    console.print(verdict_line(path, summary), soft_wrap=True)
    console.print(_facts(summary), highlight=False, markup=False)
    for severity in SEVERITIES:
        codes = dict.fromkeys(x.code for x in found.of_severity(severity))
        for code in codes:
            console.print(_about_code(
                code, severity,
                [x for x in found.of_severity(severity) if x.code == code],
                verbose))
    if summary['splits']:
        console.print(_split_table(summary))
    if summary['frames'] is not None:
        console.print(_length_table(summary['frames']))


def verdict_line(path: str, summary: Dict[str, Any]) -> Text:
    """One line: clean or not, and how much was found."""
    counts = summary['counts']
    clean = not counts[FAULT]
    said = ', '.join(count(counts[x], x) for x in SEVERITIES if counts[x])
    text = Text('CLEAN ' if clean else 'FAULTS ',
                'bold green' if clean else _STYLES[FAULT])
    text.append(f'{path}: {said or "nothing found"}', 'default not bold')
    return text


def _facts(summary: Dict[str, Any]) -> str:
    body, frames = summary['body'], summary['frames']
    text = count(summary['clips'], 'clip')
    unusable = summary['clips'] - summary['usable']
    if unusable:
        text += f' ({unusable} cannot be used)'
    if frames is None:
        return text
    layout = body['layout'] or 'no layout'
    if body['layout'] and body['layout_guessed']:
        layout += ', guessed'
    persons = _describe_persons(summary['persons'])
    bone = '' if body['bone'] is None else f', a bone {body["bone"]:g}'
    return (
        f'{text}; frames {frames["min"]} to {frames["max"]}, median '
        f'{frames["median"]:g}; persons: {persons}\n{body["joints"]} joints '
        f'({layout}), {body["coordinates"]} coordinates; a body is '
        f'{body["size"] or float("nan"):g} long{bone}: '
        f'{body["unit"] or "unit unknown"}; up: {body["up"] or "unknown"}')


def _about_code(code: str, severity: str, findings: List[Finding],
                verbose: bool) -> Group:
    lines: List[RenderableType] = [
        Text(f'{severity} ', _STYLES[severity]).append(code, 'bold')
    ]
    for finding in findings:
        place = f'{finding.place}: ' if finding.place else ''
        lines.append(Padding(Text(place + finding.message), (0, 0, 0, 4)))
        named = _name_clips(finding, verbose)
        if named:
            lines.append(Padding(Text(named, 'dim'), (0, 0, 0, 8)))
    lines.append(
        Padding(Text(f'-> {KINDS[code].way_out}', 'cyan'), (0, 0, 0, 4)))
    return Group(*lines)


def _name_clips(finding: Finding, verbose: bool) -> str:
    details = finding.details or [''] * len(finding.clips)
    pairs = list(zip(finding.clips, details))
    shown = pairs if verbose else pairs[:_NUM_NAMED]
    lines = [f'{clip}: {detail}' if detail else clip
             for clip, detail in shown]
    if len(pairs) > len(shown):
        lines.append(f'and {len(pairs) - len(shown)} more (--verbose names '
                     'them all)')
    return '\n'.join(lines)


def _describe_persons(persons: Dict[str, int]) -> str:
    """'1' if all clips have one, else '1 (20), 2 (3)', with clips."""
    if len(persons) == 1:
        return next(iter(persons))
    return ', '.join(f'{p} ({n})' for p, n in persons.items()) or '-'


def _split_table(summary: Dict[str, Any]) -> Table:
    table = Table(title='splits', title_justify='left')
    table.add_column('split', no_wrap=True, overflow='fold')
    for column in ('clips', 'classes', 'per class', 'subjects', 'persons',
                   'frames'):
        table.add_column(column, justify='right')
    for name, split in summary['splits'].items():
        labels = split['labels'].values()
        table.add_row(
            escape(name), str(split['clips']), str(len(labels)),
            f'{min(labels)}-{max(labels)}' if labels else '-',
            str(len(split['subjects']) or '-'),
            _describe_persons(split['persons']),
            '-' if split['median_frames'] is None else
            f'{split["median_frames"]:g}')
    return table


def _length_table(frames: Dict[str, Any]) -> Table:
    edges, counts = frames['histogram'].values()
    table = Table(
        'frames', title='lengths', title_justify='left', show_edge=False)
    table.add_column('clips', justify='right')
    table.add_column('')
    for low, high, number in zip(edges, edges[1:], counts):
        label = f'{low}-{high - 1}' if high - 1 > low else f'{low}'
        table.add_row(label, str(number),
                      '█' * -(-number * _BAR // max(counts)))
    return table


def print_fixes(console: Console, path: str, fixes: List[Fix],
                left: List[Finding]) -> None:
    """Print what was mended, and the faults that are left.

    Args:
        console (Console): Where to.
        path (str): The mended file.
        fixes (list[Fix]): See :func:`mend`.
        left (list[Finding]): The faults of the mended file.
    """
    console.print(
        Text.assemble(('FIXED ', 'bold'), f'{path}: '
                      f'{count(len(fixes), "fix", "fixes")}, '
                      f'{count(len(left), "fault")} left'),
        soft_wrap=True)
    for fix in fixes:
        place = f'{fix.place}: ' if fix.place else ''
        named = f' ({listing(fix.clips, _NUM_NAMED)})' if fix.clips else ''
        console.print(Text(f'    {fix.code}  {place}{fix.message}{named}'))
    for finding in left:
        place = f'{finding.place}: ' if finding.place else ''
        console.print(
            Text.assemble(('    left: ', _STYLES[FAULT]),
                          f'{finding.code}  {place}{finding.message}'))
