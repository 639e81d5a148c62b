# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""kill -9 at random moments, and at those when a checkpoint is written."""
import os
import random
import signal
import time
from pathlib import Path
from subprocess import Popen
from typing import Callable, Dict, List

from .lab import (
    TIMEOUT,
    Lab,
    NotHandled,
    Outcome,
    compare_runs,
    max_epochs,
    require,
    saved,
)

EPOCHS_PER_KILL = 5
# Where the next kill is aimed at; in turn.
AIMS = ('writing', 'training', 'writing', 'training', 'start')


def kill_often(lab: Lab, kills: int, seed: int) -> Outcome:
    """Kill a run again and again, and resume it each time.

    Args:
        lab (Lab): Where it runs.
        kills (int): How often.
        seed (int): Seed of the moments.

    Returns:
        Outcome: When all that must hold held after each kill, and the run
        ended as one that was never killed.
    """
    rng = random.Random(seed)
    epochs = EPOCHS_PER_KILL * kills
    config = lab.config('plain')
    straight = lab.straight(epochs)
    work_dir = lab.folder / 'killed'
    before, halves, done = 0, 0, []
    for number in range(kills):
        aim = AIMS[number % len(AIMS)]
        lab.tell(f'kill {number + 1} of {kills}, aimed at {aim}; epoch '
                 f'{before} of {epochs}')
        process = lab.start(config, work_dir, *max_epochs(epochs), '--resume')
        try:
            _AIMED[aim](work_dir, process, rng)
            require(process.poll() is None,
                    f'the run had ended before kill {number + 1}')
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        halves += bool(_unfinished(work_dir))
        now = saved(work_dir)
        require(now >= before,
                f'--resume would go back from epoch {before} to {now}')
        done.append(aim)
        before = now
    lab.tell('the last resume')
    ended = lab.train(config, work_dir, *max_epochs(epochs), '--resume')
    require(ended.status == 0, f'no resume: {ended.errors[-2000:]}')
    compare_runs(work_dir, straight, epochs)
    require(not _unfinished(work_dir), 'temporary files were left behind')
    counts = ', '.join(f'{done.count(a)} at {a}' for a in sorted(set(done)))
    return Outcome(
        f'{kills} kills ({counts}); {halves} left a half-written file, which '
        'no run took for a checkpoint; weights, optimizer and all losses of '
        f'{epochs} epochs are those of a run without kills',
        'nothing: the process is gone')


def _writing(work_dir: Path, process: Popen, rng: random.Random) -> None:
    """While one of the next checkpoints is being written."""
    for _ in range(rng.randint(1, 4)):
        _wait(process, lambda: not _unfinished(work_dir, process.pid))
        _wait(process, lambda: _unfinished(work_dir, process.pid))


def _training(work_dir: Path, process: Popen, rng: random.Random) -> None:
    """Within a second and a half after the first iteration."""
    known = _log_sizes(work_dir)
    _wait(process, lambda: any(
        size and size != known.get(path)
        for path, size in _log_sizes(work_dir).items()))
    time.sleep(rng.uniform(0, 1.5))


def _start(work_dir: Path, process: Popen, rng: random.Random) -> None:
    """Anywhere between the start and the first iterations."""
    time.sleep(rng.uniform(0, 12))


_AIMED: Dict[str, Callable] = dict(
    writing=_writing, training=_training, start=_start)


def _wait(process: Popen, happened: Callable[[], object]) -> None:
    """Look often; a checkpoint is written within milliseconds."""
    until = time.monotonic() + TIMEOUT
    while not happened():
        if process.poll() is not None or time.monotonic() > until:
            raise NotHandled('the run ended, or hangs, before it was killed')
        time.sleep(2e-4)


def _unfinished(work_dir: Path, pid: int = 0) -> List[Path]:
    """Temporary files of checkpoints, of a process or of all."""
    return list(work_dir.glob(f'.{pid or "*"}.*'))


def _log_sizes(work_dir: Path) -> Dict[Path, int]:
    return {
        path: path.stat().st_size
        for path in work_dir.glob('*/vis_data/scalars.json')
    }
