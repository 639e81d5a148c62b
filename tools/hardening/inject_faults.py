# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Bring faults about in tiny trainings, and see what becomes of them.

A fault is handled if the run stops with one clear line or goes on, no
checkpoint is broken or lost, and the resumed run ends exactly like one
without the fault.
"""
import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

sys.path.append(str(Path(__file__).resolve().parents[1]))

from hardening.faults import (  # noqa: E402
    clips,
    disks,
    kills,
    not_finite,
    processes,
)
from hardening.faults.lab import (  # noqa: E402
    CannotStage,
    Lab,
    NotHandled,
    Outcome,
)
from skel_ssl.utils.cli import run  # noqa: E402

Fault = Callable[[Lab], Outcome]
FAULTS: Dict[str, Callable[..., Outcome]] = {
    'kill': kills.kill_often,
    'full-disk-at-checkpoint': disks.full_disk_at_checkpoint,
    'full-disk-at-log': disks.full_disk_at_log,
    'file-size-limit': disks.file_size_limit,
    'read-only-work-dir': disks.read_only_work_dir,
    'worker-dies': processes.kill_worker,
    'rank-dies': processes.kill_rank,
    'nan-clip': clips.nan_clip,
    'misshapen-clip': clips.misshapen_clip,
    'cut-store': clips.cut_store,
    'cut-store-in-use': clips.cut_store_in_use,
    'nan-loss': not_finite.nan_loss,
    'nan-weights': not_finite.nan_weights,
    'nan-loss-on-a-rank': not_finite.nan_loss_on_a_rank,
}
# How a row ends.
HANDLED, FAILED, NOT_STAGED = 'handled', 'NOT HANDLED', 'not staged'
_COLOURS = {HANDLED: 'green', FAILED: 'bold red', NOT_STAGED: 'yellow'}

Row = Tuple[str, str, Outcome, float]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='NAME',
        choices=list(FAULTS),
        default=list(FAULTS),
        help=f'these faults alone, of: {", ".join(FAULTS)}')
    parser.add_argument(
        '--kills',
        type=int,
        default=20,
        help='how often one training is killed (default: 20)')
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the moments')
    parser.add_argument(
        '--keep',
        metavar='DIR',
        help='do it in this folder, which must not exist, and leave all runs '
        'there')
    args = parser.parse_args()
    if args.kills < 1:
        parser.error('--kills is 1 or more')
    return args


def try_fault(name: str, fault: Fault, lab: Lab) -> Row:
    """Bring one fault about.

    Args:
        name (str): Its name.
        fault (Callable): What does it.
        lab (Lab): Where.

    Returns:
        tuple: The name, how it ended, what came of it, and seconds.
    """
    began = time.monotonic()
    try:
        state, outcome = HANDLED, fault(lab)
    except NotHandled as error:
        state, outcome = FAILED, Outcome(str(error), '')
    except CannotStage as error:
        state = NOT_STAGED
        outcome = Outcome(f'this machine does not allow it: {error}', '')
    return name, state, outcome, time.monotonic() - began


def show(rows: List[Row], console: Console) -> None:
    """Print what became of the faults."""
    table = Table(show_lines=True)
    for heading in ('fault', '', 'what happened', 'what the user saw', 's'):
        table.add_column(heading, overflow='fold')
    for name, state, outcome, seconds in rows:
        table.add_row(name, f'[{_COLOURS[state]}]{state}[/]',
                      escape(outcome.happened), escape(outcome.line),
                      f'{seconds:.0f}')
    console.print(table)
    missing = [name for name, state, _, _ in rows if state == NOT_STAGED]
    if missing:
        console.print(f'not staged on this machine: {", ".join(missing)}')


def main() -> None:
    args = parse_args()
    console = Console()
    faults: Dict[str, Fault] = {
        **FAULTS, 'kill':
        partial(kills.kill_often, kills=args.kills, seed=args.seed)
    }
    with tempfile.TemporaryDirectory(prefix='hardening_') as temporary:
        folder = Path(args.keep or temporary)
        if args.keep:
            folder.mkdir(parents=True)
        lab = Lab(folder)
        rows: List[Row] = []
        with console.status('') as status:
            for number, name in enumerate(args.only, 1):
                title = f'{number} of {len(args.only)}, {name}: '
                tell = partial(_tell, status, title)
                tell('begins')
                lab.tell = tell
                rows.append(try_fault(name, faults[name], lab))
                _, state, _, seconds = rows[-1]
                console.print(f'{name}: {state} ({seconds:.0f} s)')
    show(rows, console)
    if any(state == FAILED for _, state, _, _ in rows):
        sys.exit(1)


def _tell(status: Status, title: str, text: str) -> None:
    status.update(title + text)


if __name__ == '__main__':
    run(main)
