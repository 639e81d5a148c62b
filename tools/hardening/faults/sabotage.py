# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a config of a fault puts into a training.

Hooks and a transform that do one kind of damage at a given moment, from
inside, so that it is the same moment in every run.
"""
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any, Dict, Optional
from unittest import mock

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from skel_ssl.registry import HOOKS, TRANSFORMS


class OnceHook(Hook):
    """Does :meth:`strike` before one iteration.

    Args:
        at (int): The iteration, counted from 1 over the whole training.
    """
    priority = 'LOWEST'

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner: Runner, *args: Any,
                          **kwargs: Any) -> None:
        if runner.iter + 1 == self.at:
            self.strike(runner)

    def strike(self, runner: Runner) -> None:
        """Do the damage."""
        raise NotImplementedError


@HOOKS.register_module()
class PoisonHook(OnceHook):
    """Make all weights NaN, so that the next loss is NaN.

    Args:
        at (int): See :class:`OnceHook`.
        after (bool): After the iteration: its loss is finite, and the
            weights, which may be saved next, are not.
        rank (int, optional): On this rank only. None: on all.
    """

    def __init__(self,
                 at: int,
                 after: bool = False,
                 rank: Optional[int] = None) -> None:
        super().__init__(at)
        self.after = after
        self.rank = rank

    def before_train_iter(self, runner: Runner, *args: Any,
                          **kwargs: Any) -> None:
        if not self.after:
            super().before_train_iter(runner)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if self.after:
            super().before_train_iter(runner)

    @torch.no_grad()
    def strike(self, runner: Runner) -> None:
        if self.rank in (None, get_rank()):
            for parameter in runner.model.parameters():
                parameter.fill_(float('nan'))


@HOOKS.register_module()
class KillWorkerHook(OnceHook):
    """Kill a worker of the data loader."""

    def strike(self, runner: Runner) -> None:
        workers = multiprocessing.active_children()
        workers[0].kill()


@HOOKS.register_module()
class KillRankHook(OnceHook):
    """Kill the process with the highest rank."""

    def strike(self, runner: Runner) -> None:
        if get_rank() == runner.world_size - 1:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class KillWhileWritingHook(OnceHook):
    """Be killed when half of the next checkpoint is written."""

    def strike(self, runner: Runner) -> None:

        def write_half(path: Path, data: bytes) -> None:
            with path.open('wb') as file:
                file.write(data[:len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        mock.patch.object(Path, 'write_bytes', write_half).start()


@HOOKS.register_module()
class FillDiskHook(OnceHook):
    """Fill the disk of the work dir.

    Args:
        at (int): See :class:`OnceHook`.
        leave (int): Bytes that are left free. 0: the log is full as well, as
            a long line does not fit into the last page that it has.
    """

    def __init__(self, at: int, leave: int = 0) -> None:
        super().__init__(at)
        self.leave = leave

    def strike(self, runner: Runner) -> None:
        disk = os.statvfs(runner.work_dir)
        size = disk.f_bavail * disk.f_frsize - self.leave
        with open(os.path.join(runner.work_dir, 'ballast'), 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, size)
        if not self.leave:
            runner.logger.info('-' * (2 * disk.f_frsize))


@HOOKS.register_module()
class TruncateHook(OnceHook):
    """Cut a file short while it is in use.

    Args:
        at (int): See :class:`OnceHook`.
        path (str): The file.
    """

    def __init__(self, at: int, path: str) -> None:
        super().__init__(at)
        self.path = path

    def strike(self, runner: Runner) -> None:
        os.truncate(self.path, 4096)


@TRANSFORMS.register_module()
class SpoilClip(BaseTransform):
    """Spoil one clip after the checks of its file.

    Args:
        name (str): The clip.
        how (str): ``'nan'``: a coordinate is NaN. ``'shape'``: the joints
            are gone.
    """

    def __init__(self, name: str, how: str) -> None:
        self.name = name
        self.how = how

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        if results['frame_dir'] == self.name:
            keypoint = results['keypoint'].copy()
            keypoint[0, :, 7] = np.nan
            results['keypoint'] = (
                keypoint if self.how == 'nan' else keypoint[:, :, 0])
        return results
