# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Runs the stages of a cell that are not done, and writes its record."""
import os.path as osp
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Optional,
    Sequence,
    Set,
    Union,
)

import torch

from skel_ssl.evaluation.feature_cache import hash_file
from skel_ssl.utils.checkpoint_loading import DamagedCheckpointError
from skel_ssl.utils.cli import DEBUG_HINT
from skel_ssl.utils.environment import environment

from .calls import Call, Failed
from .cells import Cell, new_record, read_record, write_record
from .processes import Children, lock
from .stages import Stage, missing_stages
from .suite import Suite


@dataclass(frozen=True, eq=False)
class Activity:
    """What a cell is doing.

    Args:
        cell (Cell): The cell.
        stage (Stage): The stage that runs.
        folder (Path): Where the stage writes.
    """
    cell: Cell
    stage: Stage
    folder: Path


@dataclass
class Runner:
    """Runs cells.

    Args:
        suite (Suite): What to run.
        work_dir (Path): Where everything goes.
        children (Children): Runs the processes.
        threads (int, optional): CPU threads of each process; None leaves it
            to the environment.
        say (Callable): Tells the user a line.
        only (Collection[str], optional): Names of the stages that may run;
            None: all.
        running (dict): What each cell is doing, kept up to date.
        environment (dict): Where the figures come from.
    """
    suite: Suite
    work_dir: Path
    children: Children
    threads: Optional[int] = None
    say: Callable[[str], None] = print
    only: Optional[Collection[str]] = None
    running: Dict[Cell, Activity] = field(default_factory=dict)
    environment: Dict[str, str] = field(default_factory=environment)

    def run(self, cell: Cell, stages: Sequence[Stage]) -> bool:
        """Run the stages of a cell that are not done.

        A stage whose start is missing is left out; the others go on.

        Args:
            cell (Cell): The cell.
            stages (Sequence[Stage]): All its stages.

        Returns:
            bool: Whether all of them that may run are done now.

        Raises:
            Stopped: If the suite is ended.
            InUse: If another process works on the cell.
        """
        folder = cell.folder(self.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder / '.lock') as held:
            job = _Job(self, cell, list(stages), folder, held)
            try:
                return job.run()
            finally:
                self.running.pop(cell, None)


class _Job:
    """One cell, while it is locked."""

    def __init__(self, runner: Runner, cell: Cell, stages: List[Stage],
                 folder: Path, held: int) -> None:
        self.runner = runner
        self.cell = cell
        self.stages = stages
        self.folder = folder
        self.held = held
        self.path = cell.record_path(runner.work_dir)
        self.record = (read_record(self.path)
                       or new_record(runner.suite, cell))
        self.lost: Set[str] = set()

    def run(self) -> bool:
        self._forget_lost_checkpoint()
        for stage in self.stages:
            missing = missing_stages(self.stages, self.cell.seed, self.record)
            if stage not in missing or not self._may_run(stage.name):
                continue
            if stage.needs in {*self.lost, *(x.name for x in missing)}:
                if not self._may_run(stage.needs):
                    self.say(f'{stage.name} cannot run: {stage.needs}, with '
                             'whose weights it begins, is not done, or they '
                             'are gone')
                continue
            start = self.record['stages'].get(stage.needs, {})
            self._run_stage(stage, start.get('checkpoint'))
        left = missing_stages(self.stages, self.cell.seed, self.record)
        self.record['state'] = 'incomplete' if left else 'reproduced'
        write_record(self.path, self.record)
        return not any(self._may_run(stage.name) for stage in left)

    def _may_run(self, name: str) -> bool:
        return self.runner.only is None or name in self.runner.only

    def _forget_lost_checkpoint(self) -> None:
        """A stage is not done if another one needs its weights and they are
        not there any more."""
        missing = missing_stages(self.stages, self.cell.seed, self.record)
        needed = {stage.needs for stage in missing
                  if stage.needs and self._may_run(stage.name)}
        for name in needed:
            found = self.record['stages'].get(name, {})
            if found.get('state') != 'done':
                continue
            path = self.runner.work_dir / found['checkpoint']['path']
            if path.is_file() and hash_file(
                    path) == found['checkpoint']['sha256']:
                continue
            if self._may_run(name):
                self.say(f'{name} runs again: its checkpoint {path} is gone '
                         'or another')
                del self.record['stages'][name]
            else:
                self.lost.add(name)

    def say(self, text: str) -> None:
        self.runner.say(f'{self.cell}: {text}')

    def _run_stage(self, stage: Stage, start: Optional[dict]) -> None:
        key = stage.key(self.cell.seed, start['sha256'] if start else None)
        if self.record['stages'].get(stage.name, {}).get('state') == 'done':
            self.say(f'{stage.name} runs again: its config, its data or what '
                     'it begins with changed')
        # A folder for each key: nothing continues from other settings.
        folder = self.folder / f'{stage.name}_{key[:8]}'
        folder.mkdir(parents=True, exist_ok=True)
        runner = self.runner
        runner.running[self.cell] = Activity(self.cell, stage, folder)
        began = time.monotonic()
        if start is not None:
            start = dict(start, path=str(runner.work_dir / start['path']))
        call = Call(runner.suite, self.cell, stage, folder, runner.children,
                    runner.threads, self.held, start)
        about: Dict[str, Any] = dict(
            state='done',
            key=key,
            config=stage.config,
            options=dict(stage.options),
            seed=self.cell.seed,
            folder=self._place(folder),
            environment=runner.environment,
            device='cuda' if torch.cuda.is_available() else 'cpu',
            threads=runner.threads,
            **stage.about)
        try:
            about.update(call.run())
        except (Failed, DamagedCheckpointError, ValueError, OSError) as error:
            text = str(error) or type(error).__name__
            about.update(state='failed', error=text)
            lines = [x for x in text.splitlines() if x != DEBUG_HINT]
            why = lines[-1].removeprefix('error: ')
            self.say(f'{stage.name} failed: {why}\n  more in {folder}')
        if 'checkpoint' in about:
            about['checkpoint']['path'] = self._place(
                about['checkpoint']['path'])
        about.update(commands=call.commands, seconds=call.seconds())
        self.record['stages'][stage.name] = about
        self.record['state'] = 'incomplete'
        write_record(self.path, self.record)
        if about['state'] == 'done':
            self.say(f'{stage.name} is done, '
                     f'{time.monotonic() - began:.0f} s')

    def _place(self, path: Union[str, Path]) -> str:
        """A path from the suite's folder on, which may be moved."""
        return osp.relpath(path, self.runner.work_dir)
