# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Several cells at a time, and how far they are."""
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ThreadPoolExecutor,
    wait,
)
from typing import Callable, Dict, List, Mapping, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from skel_ssl.visualization.curves import read_scalars

from .cells import Cell
from .processes import Children, InUse
from .runner import Activity
from .stages import Stage


def run_cells(cells: Sequence[Cell],
              run: Callable[[Cell], bool],
              children: Children,
              running: Mapping[Cell, Activity],
              jobs: int,
              console: Console) -> List[str]:
    """Run cells, some at a time.

    Args:
        cells (Sequence[Cell]): The cells.
        run (Callable): Runs one; whether all of it is done.
        children (Children): Their processes, ended if the user ends this.
        running (dict[Cell, Activity]): What each is doing.
        jobs (int): Cells at a time.
        console (Console): Shows how far it is.

    Returns:
        list[str]: What is not done, and why, a line each.

    Raises:
        KeyboardInterrupt: If the user ends it; no process is left then.
    """
    pool = ThreadPoolExecutor(jobs)
    futures: Dict[Future, Cell] = {pool.submit(run, c): c for c in cells}
    columns = (TextColumn('{task.description}'), BarColumn(),
               TextColumn('{task.fields[unit]}'), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            whole = progress.add_task('cells', total=len(cells), unit='')
            bars: Dict[Activity, TaskID] = {}
            left = set(futures)
            while left:
                done, left = wait(left, 1, FIRST_COMPLETED)
                finished = len(cells) - len(left)
                progress.update(whole, completed=finished,
                                unit=f'{finished}/{len(cells)}')
                _show(progress, bars, list(running.values()))
                for future in done:
                    _result(future, futures[future])
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [line for future, cell in futures.items()
            for line in _result(future, cell)]


def _result(future: Future, cell: Cell) -> List[str]:
    """What is not done of a cell; a fault of this program is raised."""
    try:
        return [] if future.result() else [f'{cell} failed']
    except InUse as error:
        return [f'{cell}: {error}']


def _show(progress: Progress, bars: Dict[Activity, TaskID],
          running: Sequence[Activity]) -> None:
    """A bar for each cell that is at work."""
    for activity in [x for x in bars if x not in running]:
        progress.remove_task(bars.pop(activity))
    for activity in running:
        total = activity.stage.max_epochs
        if activity not in bars:
            bars[activity] = progress.add_task(
                f'{activity.cell} {activity.stage.name}', total=total,
                unit='')
        if total is not None:
            done = epochs_done(activity)
            progress.update(bars[activity], completed=done,
                            unit=f'{done}/{total} epochs')


def epochs_done(activity: Activity) -> int:
    """How many epochs a training has logged."""
    logs = sorted(activity.folder.glob('*/vis_data/scalars.json'))
    records = read_scalars(logs[-1]) if logs else []
    return int(max((r.get('epoch', 0) for r in records), default=0))


def describe(cell: Cell, stages: Sequence[Stage],
             missing: Sequence[Stage]) -> str:
    """The stages of a cell, and which of them have to run, as a line."""
    words = [f'{stage.name} {"to do" if stage in missing else "done"}'
             for stage in stages]
    return f'{cell}: {", ".join(words) or "nothing"}'
