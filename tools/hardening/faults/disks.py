# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Disks that are full, and folders that nobody may write to."""
import os
import resource
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .lab import (
    EPOCH,
    EPOCHS,
    IN_LAST_EPOCH,
    CannotStage,
    Lab,
    Outcome,
    require,
    saved,
)

DISK = 8 << 20
RESUMED = 'it stopped, and with space again the run ended like one without ' \
          'the fault'


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of its own in memory, which only root may mount.

    Raises:
        CannotStage: If the machine does not let us.
    """
    path.mkdir()
    done = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={DISK}', 'none', str(path)],
        capture_output=True, text=True)
    if done.returncode:
        raise CannotStage(f'mount says: {done.stderr.strip()}')
    try:
        yield path
    finally:
        subprocess.run(['umount', '-l', str(path)], check=True)


def _fill(lab: Lab, name: str, at: int, leave: int, file: str) -> Outcome:
    config = lab.config(
        name, f'custom_hooks += [dict(type="FillDiskHook", at={at}, '
        f'leave={leave})]\n')
    with small_disk(lab.folder / name) as work_dir:
        line = lab.train(config, work_dir).one_line(
            f'No space left.*{file}.*--resume')
        epoch = saved(work_dir)
        require(epoch == EPOCHS - 1, f'{epoch} epochs are saved')
        (work_dir / 'ballast').unlink()
        lab.check_resume(work_dir)
    return Outcome(RESUMED, line)


def full_disk_at_checkpoint(lab: Lab) -> Outcome:
    """The disk is full when half of a checkpoint is written."""
    # Enough for the log of one iteration.
    return _fill(lab, 'full_disk', EPOCHS * EPOCH, 128 << 10,
                 f'epoch_{EPOCHS}.pth')


def full_disk_at_log(lab: Lab) -> Outcome:
    """The disk is full when a line of the log is written."""
    return _fill(lab, 'full_log', IN_LAST_EPOCH, 0, r'\.log')


def file_size_limit(lab: Lab) -> Outcome:
    """A limit cuts a checkpoint off in the middle (``ulimit -f``)."""
    work_dir = lab.folder / 'limit'
    killed = lab.config(
        'limit', "custom_hooks += [dict(type='KillRankHook', "
        f'at={IN_LAST_EPOCH})]\n')
    lab.train(killed, work_dir)  # two epochs of three
    limit = (work_dir / 'epoch_2.pth').stat().st_size // 2
    lab.tell('with a limit')
    ended = lab.train(
        lab.config('plain'),
        work_dir,
        '--resume',
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (limit, limit)))
    line = ended.one_line('File too large.*--resume')
    epoch = saved(work_dir)
    require(epoch == EPOCHS - 1, f'{epoch} epochs are saved')
    lab.check_resume(work_dir)
    return Outcome(RESUMED, line)


def read_only_work_dir(lab: Lab) -> Outcome:
    """The work dir cannot be written to, neither at first nor in a resume."""
    config = lab.config('plain')
    if os.geteuid():
        work_dir = lab.folder / 'read_only'
        lab.train(config, work_dir)
        work_dir.chmod(0o555)
        try:
            line = lab.train(config, work_dir, '--resume').one_line(
                '(Permission denied|Read-only).*--work-dir')
            require(saved(work_dir) == EPOCHS, 'a checkpoint is gone')
        finally:
            work_dir.chmod(0o755)
        return Outcome('it did not begin; what was there is whole', line)
    with small_disk(lab.folder / 'read_only') as work_dir:
        lab.train(config, work_dir)  # root may write where chmod forbids it
        subprocess.run(['mount', '-o', 'remount,ro', str(work_dir)],
                       check=True)
        line = lab.train(config, work_dir, '--resume').one_line(
            'Read-only file system.*--work-dir')
        require(saved(work_dir) == EPOCHS, 'a checkpoint is gone')
    return Outcome('it did not begin; what was there is whole', line)
