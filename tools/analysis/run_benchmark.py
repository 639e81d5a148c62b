# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Run a suite: methods x data sets x seeds, and make its tables.

What is done is not done again: call it once more after an interruption, or
after adding a method. docs/benchmark.md has the rest.
"""
import argparse
import os
import shlex
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from mmengine.logging import MMLogger
from rich.console import Console

from skel_ssl.benchmark.cells import Cell, cells_of, read_record, select
from skel_ssl.benchmark.pages import show, write_tables
from skel_ssl.benchmark.processes import Children
from skel_ssl.benchmark.runner import Runner
from skel_ssl.benchmark.schedule import describe, run_cells
from skel_ssl.benchmark.stages import (
    Stage,
    missing_stages,
    plan,
    select_stages,
    stages_of,
)
from skel_ssl.benchmark.suite import Suite, load_suite
from skel_ssl.benchmark.table import make_tables
from skel_ssl.utils.cli import run


def parse_args() -> argparse.Namespace:
    about = __doc__.split('\n\n')
    parser = argparse.ArgumentParser(description=about[0], epilog=about[1])
    parser.add_argument(
        'suite', help='such as configs/benchmarks/suites/demo.py')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='where everything goes (default: work_dirs/benchmark/SUITE)')
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='METHOD[/DATA[/SEED]]',
        help='run these cells only; * stands for anything')
    parser.add_argument(
        '--stages',
        nargs='+',
        default=[],
        metavar='STAGE',
        help="run these stages only, such as pretrain frozen 'transfer_*' "
        'finetune')
    parser.add_argument(
        '--jobs', type=int, default=1, help='cells at a time (default: 1)')
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        '--dry-run',
        action='store_true',
        help='check the suite, and list what is done and what would run')
    mode.add_argument(
        '--table',
        action='store_true',
        help='run nothing; make the tables of what is there')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error('--jobs is 1 or more')
    if args.table and (args.only or args.stages):
        parser.error('--table shows all that is there: leave --only and '
                     '--stages out')
    return args


def threads_of(jobs: int) -> Optional[int]:
    """CPU threads of each of so many processes; what the user has set counts.

    None: those that torch takes by itself.
    """
    if jobs == 1 or 'OMP_NUM_THREADS' in os.environ:
        return None
    return max((os.cpu_count() or 1) // jobs, 1)


def make_and_show(suite: Suite, work_dir: Path,
                  records: Mapping[Cell, Dict[str, Any]],
                  console: Console) -> None:
    """Print the tables, and write them."""
    tables = make_tables(suite, records)
    show(console, suite, tables)
    command = shlex.join(['python', *sys.argv])
    paths = write_tables(work_dir, suite, tables, command)
    console.print(' '.join(map(str, paths.values())), highlight=False,
                  markup=False, soft_wrap=True)


def read_records(cells: Sequence[Cell],
                 work_dir: Path) -> Dict[Cell, Dict[str, Any]]:
    """The records that are there."""
    found = {cell: read_record(cell.record_path(work_dir)) for cell in cells}
    return {cell: x for cell, x in found.items() if x is not None}


def current(records: Mapping[Cell, Dict[str, Any]],
            stages: Mapping[Cell, List[Stage]]) -> Dict[Cell, Dict[str, Any]]:
    """The records without what was made under other settings, or could not
    be made here."""
    found = {}
    for cell, record in records.items():
        missing = {stage.name for stage in missing_stages(
            stages[cell], cell.seed, record)}
        there = {stage.name for stage in stages[cell]} - missing
        kept = {name: content for name, content in record['stages'].items()
                if name in there or content['state'] == 'failed'}
        found[cell] = dict(record, stages=kept)
    return found


def main() -> None:
    args = parse_args()
    console = Console()
    MMLogger.get_instance('benchmark', log_level='WARNING')
    suite = load_suite(args.suite)
    work_dir = args.work_dir or Path('work_dirs/benchmark') / suite.name
    every = cells_of(suite)
    chosen = select(every, args.only)
    if args.table:
        records = read_records(every, work_dir)
        if not records:
            raise FileNotFoundError(
                f'there is nothing in {work_dir} yet: run the suite without '
                '--table')
        make_and_show(suite, work_dir, records, console)
        return
    with console.status('looking at configs and data'):
        planned = plan(suite, cells=chosen)
    stages = {cell: stages_of(suite, cell, planned) for cell in every}
    only = select_stages((x for cell in chosen for x in stages[cell]),
                         args.stages)
    if args.dry_run:
        records = read_records(every, work_dir)
        for cell in chosen:
            missing = missing_stages(stages[cell], cell.seed,
                                     records.get(cell, dict(stages={})))
            shown = [stage for stage in stages[cell]
                     if only is None or stage.name in only]
            console.print(describe(cell, shown, missing),
                          highlight=False, soft_wrap=True)
        return
    failed = run_suite(suite, work_dir, chosen, stages, only, args.jobs,
                       console)
    records = current(read_records(every, work_dir), stages)
    make_and_show(suite, work_dir, records, console)
    if failed:
        console.print('[bold red]not done:[/]')
        for line in failed:
            console.print(f'  {line}', highlight=False, markup=False)
        sys.exit(1)


def run_suite(suite: Suite, work_dir: Path, cells: Sequence[Cell],
              stages: Mapping[Cell, List[Stage]], only: Optional[Set[str]],
              jobs: int, console: Console) -> List[str]:
    """Run cells, or only some stages of them; what is not done afterwards.

    Raises:
        SystemExit: If the user ends it.
    """
    say = partial(console.print, highlight=False, markup=False,
                  soft_wrap=True)
    children = Children()
    runner = Runner(suite, work_dir, children, threads_of(jobs), say, only)
    # Not what SIGINT has: a shell makes a job in the background ignore that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_cells(cells, lambda cell: runner.run(cell, stages[cell]),
                         children, runner.running, jobs, console)
    except KeyboardInterrupt:
        say('ended; what is done stays done, and trainings continue at their '
            f'last checkpoint:\n  {shlex.join(["python", *sys.argv])}')
        sys.exit(130)


if __name__ == '__main__':
    run(main)
