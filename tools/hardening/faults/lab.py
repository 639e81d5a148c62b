# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Tiny trainings as subprocesses, and what must hold after a fault."""
import json
import math
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Union

import numpy as np
import torch

from skel_ssl.utils.checkpoint_files import find_latest_checkpoint, is_whole
from skel_ssl.utils.checkpoint_loading import load_from_local

ROOT = Path(__file__).resolve().parents[3]
NUM_CLIPS, BATCH = 16, 4
EPOCH = NUM_CLIPS // BATCH  # iterations
# Every run but the one that is killed again and again has these.
EPOCHS = 3
IN_LAST_EPOCH = (EPOCHS - 1) * EPOCH + 2
TIMEOUT = 300

CONFIG = f'''
_base_ = {str(ROOT / 'configs/skel2vec_demo.py')!r}
custom_imports = dict(
    imports=['skel_ssl', 'hardening.faults.sabotage'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(embed_dims=16, depth=2),
    neck=dict(in_dims=16, embed_dims=16),
    target=dict(top_k=2),
    head=dict(in_dims=16, out_dims=16))
train_dataloader = dict(
    batch_size={BATCH}, num_workers=0, persistent_workers=False)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=2))
log_processor = dict(window_size=1)
custom_hooks = [_base_.custom_hooks[0]]  # the teacher's, which is needed
param_scheduler = dict(warmup=1)
train_cfg = dict(max_epochs={EPOCHS})
'''


class NotHandled(Exception):
    """The fault did harm, or the user was left in the dark."""


class CannotStage(Exception):
    """This machine does not let the script bring the fault about."""


def require(holds: Any, otherwise: str) -> None:
    """Raise :class:`NotHandled` unless something holds."""
    if not holds:
        raise NotHandled(otherwise)


@dataclass
class Outcome:
    """What became of a run with a fault.

    Attributes:
        happened (str): One sentence.
        line (str): What the user saw.
    """
    happened: str
    line: str


@dataclass
class Ended:
    """A process that has ended.

    Attributes:
        status (int): Its exit status, minus the signal that killed it.
        errors (str): What it wrote to standard error.
        seconds (float): How long it took.
    """
    status: int
    errors: str
    seconds: float

    def one_line(self, pattern: str) -> str:
        """The one line of error that a user sees.

        Args:
            pattern (str): What it must hold, a regular expression.
        """
        tail = self.errors[-2000:]
        require(self.status > 0, f'it ended with status {self.status}: {tail}')
        require('Traceback' not in self.errors, f'a traceback: {tail}')
        lines = re.findall(r'^error.*', self.errors, re.M)
        found = [line for line in lines if re.search(pattern, line)]
        require(len(found) == 1,
                f'{len(found)} lines of error hold {pattern!r}: {tail}')
        return found[0]


class Lab:
    """A folder with data, configs and runs.

    Args:
        folder (Path): The folder, empty.
        tell (Callable): Takes a word on what is going on.

    Attributes:
        errors (Path): Standard error of the training that began last.
    """

    def __init__(self, folder: Path,
                 tell: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self.tell = tell
        self._started = 0
        self._straight: Dict[int, Path] = {}
        write_clips(folder / 'demo_3d.pkl')

    def config(self, name: str, more: str = '') -> Path:
        """Write a config; ``more`` is added to that of all runs."""
        path = self.folder / f'{name}.py'
        path.write_text(CONFIG + more)
        return path

    def start(self,
              config: Path,
              work_dir: Path,
              *arguments: Union[str, Path],
              ranks: int = 1,
              **popen: Any) -> subprocess.Popen:
        """Start a training; its standard error goes into :attr:`errors`."""
        command: List[Any] = [sys.executable, ROOT / 'tools/train.py', config]
        if ranks > 1:
            command = [ROOT / 'tools/dist_train.sh', config, ranks]
        self._started += 1
        self.errors = (
            self.folder / f'{self._started:03}_{work_dir.name}.stderr')
        with self.errors.open('wb') as errors:
            return subprocess.Popen(
                [*map(str, command), '--work-dir', str(work_dir),
                 *map(str, arguments)],
                env=dict(
                    os.environ,
                    SKEL_DATA=str(self.folder),
                    PYTHON=sys.executable,
                    PYTHONWARNINGS='ignore',
                    CUDA_VISIBLE_DEVICES='',
                    OMP_NUM_THREADS='1',
                    COLUMNS='500',
                    PORT=str(free_port())),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                **popen)

    def train(self, *args: Any, timeout: float = TIMEOUT,
              **kwargs: Any) -> Ended:
        """Run a training to its end, see :meth:`start`."""
        began = time.monotonic()
        process = self.start(*args, **kwargs)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise NotHandled(f'it hangs: no end after {timeout} s') from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        # torch ends a line on a bus error with a zero byte
        errors = self.errors.read_text().replace('\0', '')
        return Ended(status, errors, time.monotonic() - began)

    def straight(self, epochs: int = EPOCHS) -> Path:
        """The work dir of a run that nothing happened to."""
        if epochs not in self._straight:
            self.tell(f'{epochs} epochs without a fault, to compare with')
            work_dir = self.folder / f'straight_{epochs}'
            done = self.train(
                self.config('plain'), work_dir, *max_epochs(epochs))
            require(done.status == 0, f'it failed: {done.errors[-2000:]}')
            self._straight[epochs] = work_dir
        return self._straight[epochs]

    def check_resume(self, work_dir: Path, config: Optional[Path] = None,
                     epochs: int = EPOCHS) -> None:
        """Resume a run; it must end as the one without a fault did.

        Args:
            work_dir (Path): Of the run.
            config (Path, optional): What it resumes with.
            epochs (int): How many it has in all.
        """
        straight = self.straight(epochs)
        self.tell('resuming')
        done = self.train(config or self.config('plain'), work_dir,
                          *max_epochs(epochs), '--resume')
        require(done.status == 0,
                f'the run does not resume: {done.errors[-2000:]}')
        compare_runs(work_dir, straight, epochs)


def max_epochs(epochs: int) -> List[str]:
    """Arguments of ``tools/train.py`` for a number of epochs."""
    return ['--cfg-options', f'train_cfg.max_epochs={epochs}']


def saved(work_dir: Path) -> int:
    """The epoch that ``--resume`` would go on from, 0 if from the start.

    Every checkpoint there must be whole, and the one picked up must load.
    """
    for path in work_dir.glob('epoch_*.pth'):
        require(is_whole(path), f'{path.name} is broken')
    found = find_latest_checkpoint(str(work_dir))
    if found is None:
        return 0
    checkpoint = load_from_local(found)
    for name, value in checkpoint['state_dict'].items():
        require(value.isfinite().all(), f'{name} in {found} is not finite')
    return checkpoint['meta']['epoch']


def compare_runs(work_dir: Path, straight: Path, epochs: int) -> None:
    """The last checkpoints and all losses of two runs must be equal."""
    ours, theirs = (
        load_from_local(str(folder / f'epoch_{epochs}.pth'))
        for folder in (work_dir, straight))
    for part in ('state_dict', 'optimizer'):
        require(_equal(ours[part], theirs[part]),
                f'{part} differs from that of a run without the fault')
    expected, found = losses(straight), losses(work_dir)
    require(found.keys() == expected.keys(), 'iterations are missing')
    wrong = [i for i in found if found[i] != expected[i]]
    require(not wrong, f'the loss of iteration {wrong[:1]} differs')


def losses(work_dir: Path) -> Dict[int, float]:
    """The loss of every iteration; what was done again must be equal.

    A loss that was not finite is passed over: a fault made it.
    """
    found: Dict[int, float] = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            record = json.loads(line)
            if math.isfinite(record.get('loss', math.nan)):
                before = found.setdefault(record['iter'], record['loss'])
                require(before == record['loss'],
                        f"the loss of iteration {record['iter']} was "
                        f"{before}, and {record['loss']} after a resume")
    return found


def _equal(ours: Any, theirs: Any) -> bool:
    if torch.is_tensor(ours):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(
            _equal(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    return bool(ours == theirs)


def write_clips(path: Path) -> None:
    """A pose pickle whose joints wander off random poses."""
    rng = np.random.default_rng(0)
    names = [f'clip{i:02}' for i in range(NUM_CLIPS)]
    annotations = []
    for i, name in enumerate(names):
        steps = rng.normal(0, .02, (1 + i % 2, 40, 25, 3))
        steps[:, 0] += rng.normal(0, .5, steps[:, 0].shape)
        annotations.append(
            dict(
                frame_dir=name,
                label=i % 3,
                total_frames=40,
                keypoint=steps.cumsum(1).astype(np.float32)))
    split = dict(xsub_train=names, xsub_val=names[:2])
    path.write_bytes(pickle.dumps(dict(split=split, annotations=annotations)))


def free_port() -> int:
    """A port for the processes of a run to meet at."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
