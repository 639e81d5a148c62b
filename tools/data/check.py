# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Examine a pose pickle before it costs a night: the data doctor.

Exit code 0: no fault (warnings and notes do not count), 1: faults,
2: the file cannot be read, an argument is wrong, or a result could not be
written.
"""
import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Dict

from rich.console import Console
from rich.progress import track
from rich.table import Table

from skel_ssl.datasets.doctor import FAULT, KINDS, examine
from skel_ssl.datasets.doctor.fix import mend
from skel_ssl.datasets.doctor.picture import draw_examination
from skel_ssl.datasets.doctor.report import print_fixes, print_report
from skel_ssl.datasets.doctor.summary import UNREADABLE, summarise
from skel_ssl.datasets.layouts import get_layout
from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.pose_writer import write_pose_pickle
from skel_ssl.utils.cli import run
from skel_ssl.utils.files import write_json
from skel_ssl.visualization.files import save_figure

FAILED = 2  # exit code


class PrintCodes(argparse.Action):
    """Prints the table of codes and ends, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        table = Table('code', 'severity', 'meaning', 'way out')
        for code, kind in KINDS.items():
            table.add_row(code, *kind)
        Console().print(table)
        parser.exit()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pickle', type=Path, metavar='PICKLE')
    parser.add_argument(
        '--layout',
        help='the body that every clip must have: a preset, or a JSON file '
        'with the arguments of SkeletonLayout (default: the preset with as '
        'many joints as most clips)')
    parser.add_argument(
        '--json', type=Path, metavar='F', help='also write everything here')
    parser.add_argument(
        '--picture', type=Path, metavar='F', help='also draw it: a PNG')
    parser.add_argument(
        '--fix',
        type=Path,
        metavar='OUT',
        help='write a new pickle in which is mended what is safe; the report '
        'says what was done and what is left, the exit code is that of '
        'PICKLE')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='let --fix replace an existing file')
    parser.add_argument(
        '--verbose', action='store_true', help='name every clip')
    parser.add_argument(
        '--codes',
        action=PrintCodes,
        nargs=0,
        help='print what each code means and what to do about it')
    args = parser.parse_args()
    try:
        args.layout = args.layout and get_layout(args.layout)
    except (OSError, ValueError) as error:
        parser.error(f'--layout: {error}')
    for option in ('json', 'picture', 'fix'):
        path = getattr(args, option)
        if path is None:
            continue
        if not path.parent.is_dir():
            parser.error(f'--{option}: there is no folder {path.parent}')
        if path.exists() and args.pickle.exists() and path.samefile(
                args.pickle):
            parser.error(f'--{option}: {path} is the file to be examined, '
                         'which stays as it is: give another name')
    if args.fix is not None and args.fix.exists() and not args.overwrite:
        parser.error(f'--fix: {args.fix} exists; give another name, or '
                     '--overwrite to replace it')
    return args


def check(args: argparse.Namespace, data: Dict[str, Any],
          console: Console) -> bool:
    """Examine, report, and write what was asked for.

    Returns:
        bool: Whether the file has no fault.
    """
    start = time.monotonic()
    bar = partial(
        track,
        description='examining',
        console=Console(stderr=True),
        transient=True)
    found = examine(data, args.layout, bar)
    record = summarise(found)
    record.update(
        file=str(args.pickle), seconds=round(time.monotonic() - start, 2))
    print_report(console, str(args.pickle), found, record, args.verbose)
    if args.picture is not None:
        figure = draw_examination(data['annotations'], found, record,
                                  args.pickle.name)
        save_figure(args.picture, figure)
    if args.fix is not None:
        mended, fixes = mend(data, found)
        write_pose_pickle(args.fix, **mended)
        left = [x for x in examine(mended, args.layout).findings
                if x.severity == FAULT]
        print_fixes(console, str(args.fix), fixes, left)
        record['fix'] = dict(
            file=str(args.fix),
            fixes=[vars(fix) for fix in fixes],
            left=[finding.as_dict() for finding in left])
    if args.json is not None:
        write_json(args.json, record)
    return found.clean


def main() -> None:
    args, console = parse_args(), Console()
    try:
        data = load_annotations(args.pickle)
    except (OSError, ValueError, ImportError) as error:
        if args.json is not None:
            write_json(
                args.json,
                dict(
                    verdict=UNREADABLE,
                    file=str(args.pickle),
                    error=str(error)))
        console.print('UNREADABLE', style='bold red', end=' ')
        console.print(str(error), markup=False, highlight=False,
                      soft_wrap=True)
        sys.exit(FAILED)
    sys.exit(0 if check(args, data, console) else 1)


if __name__ == '__main__':
    run(main, FAILED)  # 1 would say that there are faults
