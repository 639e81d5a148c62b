# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The processes of a stage, what they leave, and what they need."""
import dataclasses
import json
import os
import shlex
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmengine.runner import find_latest_checkpoint

from skel_ssl.apis.weights import read_weights
from skel_ssl.evaluation.feature_cache import hash_file
from skel_ssl.evaluation.predictions import (
    Predictions,
    load_predictions,
    mean_class_accuracy,
    top_k_accuracy,
)
from skel_ssl.utils.files import write_json

from .cells import Cell
from .configs import words_of
from .costs import count_costs
from .processes import Children, Stopped, Usage
from .stages import Stage
from .suite import Suite

LOG = 'output.log'
_SPENT = 'spent.json'
_NUM_LINES = 15  # of the log of a failed stage, in the record
_COUNTING = threading.Lock()


class Failed(Exception):
    """A stage ended with a fault; the text is the end of its log."""


class Call:
    """The processes of a stage.

    Args:
        suite (Suite): The suite.
        cell (Cell): The cell.
        stage (Stage): The stage.
        folder (Path): Where it writes.
        children (Children): Runs the processes.
        threads (int, optional): See :class:`Runner`.
        held (int): The open file that locks the cell.
        start (dict, optional): The checkpoint that it begins with.

    Attributes:
        commands (list[str]): What was called.
    """

    def __init__(self, suite: Suite, cell: Cell, stage: Stage, folder: Path,
                 children: Children, threads: Optional[int], held: int,
                 start: Optional[dict]) -> None:
        self.suite = suite
        self.cell = cell
        self.stage = stage
        self.folder = folder
        self.children = children
        self.threads = threads
        self.held = held
        self.start = start
        self.commands: List[str] = []

    def run(self) -> Dict[str, Any]:
        """Run the stage; what goes into the record beside what all have."""
        if self.stage.name == 'pretrain':
            return self._train()
        if self.stage.name == 'finetune':
            return self._finetune()
        if self.stage.name == 'cost':
            # A second's work, less than the start of a process.
            with _COUNTING:
                return count_costs(self.stage.parts)
        return self._evaluate()

    # ------------------------------------------------------------- processes

    def _python(self, name: str, arguments: Sequence[str]) -> None:
        """Run a part of the stage.

        Raises:
            Failed: If it fails.
            Stopped: If the suite is ended.
        """
        command = [sys.executable, *arguments]
        line = shlex.join(['python', *arguments])
        self.commands.append(line)
        log = self.folder / LOG
        with open(log, 'a', encoding='utf-8') as file:
            file.write(f'$ {line}\n')
        env = dict(os.environ)
        if self.threads is not None:
            env['OMP_NUM_THREADS'] = str(self.threads)
        usage = self.children.run(command, log, env, [self.held])
        self._note(name, usage)
        if self.children.stopped:
            raise Stopped
        if usage.code:
            raise Failed(_end_of(log, usage.code))

    def _note(self, name: str, usage: Usage) -> None:
        """Keep what a process needed: a run may have several."""
        path = self.folder / _SPENT
        write_json(path, [*self._spent(),
                          dict(dataclasses.asdict(usage), part=name)])

    def _spent(self) -> List[Dict[str, Any]]:
        path = self.folder / _SPENT
        return (json.loads(path.read_text(encoding='utf-8'))
                if path.exists() else [])

    def seconds(self) -> Dict[str, Any]:
        """Wall and CPU seconds by part, those of interrupted runs added."""
        found: Dict[str, Any] = {}
        for piece in self._spent():
            part = found.setdefault(piece['part'],
                                    dict(wall=0., cpu=0., pieces=0))
            part['wall'] += piece['wall']
            part['cpu'] += piece['cpu']
            part['pieces'] += 1
        return found

    # ---------------------------------------------------------------- stages

    def _train(self, *arguments: str) -> Dict[str, Any]:
        stage = self.stage
        options = words_of(stage.options)
        self._python('train', [
            'tools/train.py', stage.config, '--seed', str(self.cell.seed),
            '--work-dir', str(self.folder), '--resume',
            *self.suite.train_options, *arguments,
            *(['--cfg-options', *options] if options else [])
        ])
        path = find_latest_checkpoint(str(self.folder))
        if path:  # as it is written there, it is where the folder once was
            path = str(self.folder / Path(path).name)
        meta = read_weights(path)[1] if path else {}
        if stage.max_epochs is not None and meta.get(
                'epoch') != stage.max_epochs:
            raise Failed(
                f'the last checkpoint in {self.folder} is of epoch '
                f'{meta.get("epoch")}, not of the last, {stage.max_epochs}')
        return dict(
            checkpoint=dict(path=path, sha256=hash_file(path)),
            epochs=meta.get('epoch'),
            steps=meta.get('iter'))

    def _finetune(self) -> Dict[str, Any]:
        arguments = ['--no-validate']
        if self.start is not None:
            arguments += ['--pretrained', self.start['path']]
        found = self._train(*arguments)
        figures = []
        for test, splits in self.stage.tests.items():
            dump = self.folder / f'{test}.pkl'
            options = words_of({
                **self.stage.options,
                'test_dataloader.dataset.split': list(splits)
            })
            self._python('test', [
                'tools/test.py', self.stage.config,
                found['checkpoint']['path'], '--work-dir',
                str(self.folder / f'test_{test}'), '--dump',
                str(dump), '--cfg-options', *options
            ])
            figures += figures_of(load_predictions(dump), test)
        return dict(found, figures=figures)

    def _evaluate(self) -> Dict[str, Any]:
        suite, stage = self.suite, self.stage
        paths = [self.folder / f'{x}.json' for x in ('request', 'result')]
        write_json(paths[0], dict(
            config=stage.config,
            options=dict(stage.options),
            tests=stage.tests,
            encoder=suite.method(self.cell.method).encoder or 'pretrained',
            checkpoint=self.start and self.start['path'],
            seed=self.cell.seed,
            protocols=suite.protocols,
            readouts=suite.readouts,
            persons=suite.persons,
            settings=dataclasses.asdict(suite.probe),
            num_workers=stage.num_workers,
            cache=str(self.folder / 'features')))
        self._python('evaluate', [
            '-m', 'skel_ssl.benchmark.frozen', *map(str, paths)
        ])
        return json.loads(paths[1].read_text(encoding='utf-8'))


def figures_of(predictions: Predictions, test: str) -> List[Dict[str, Any]]:
    """The figures of a dump, as those of a frozen evaluation."""
    values = dict(
        finetune=top_k_accuracy(predictions, 1),
        finetune_mean_class=mean_class_accuracy(predictions))
    return [
        dict(
            test=test,
            readout=None,
            metric=metric,
            state='reproduced',
            values=[value],
            num_clips=len(predictions.labels),
            num_classes=predictions.num_classes)
        for metric, value in values.items()
    ]


def _end_of(log: Path, code: int) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    return '\n'.join([f'exit status {code}; the end of {log}:',
                      *lines[-_NUM_LINES:]])
