# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of the benchmark share: a suite, and processes that only
pretend."""
import json
from pathlib import Path

import numpy as np
import torch

from skel_ssl.benchmark.cells import Cell, read_record
from skel_ssl.benchmark.configs import DataFiles
from skel_ssl.benchmark.processes import Usage
from skel_ssl.benchmark.runner import Runner
from skel_ssl.benchmark.stages import plan, stages_of
from skel_ssl.benchmark.suite import make_suite
from skel_ssl.evaluation.predictions import Predictions, save_predictions
from skel_ssl.utils.cli import DEBUG_HINT
from tests.tools.conftest import write_clips

LINEAR = 'configs/benchmarks/linear/mamp_{data}.py'


def content(**changes):
    """A suite, as its config has it."""
    made = dict(
        seeds=[0, 1],
        train_options=['--person-batches', 'device'],
        protocols=['linear', 'knn'],
        readouts=['mean', 'joint'],
        probe=dict(ks=[1], seeds=2),
        datasets=dict(demo=dict(title='Demo', tests=dict(xsub='xsub_val'))),
        methods=dict(
            raw=dict(title='Raw', kind='floor', encoder='raw', frozen=LINEAR),
            random=dict(kind='floor', encoder='random', frozen=LINEAR),
            mae=dict(
                title='MAE',
                pretrain='configs/mae_{data}.py',
                frozen=LINEAR,
                finetune='configs/benchmarks/supervised/stgcnpp_{data}.py',
                options=dict(pretrain={'train_cfg.max_epochs': 3})),
            gcn=dict(
                title='GCN',
                kind='ceiling',
                finetune='configs/benchmarks/supervised/stgcnpp_{data}.py')))
    return {**made, **changes}


def suite_of(**changes):
    return make_suite('tiny', content(**changes))


def write_data(folder: Path, shift: float = 0.) -> None:
    """The demo's file, with 16 clips to train and 8 to test."""
    rng = np.random.default_rng(0)
    write_clips(folder / 'demo_3d.pkl', [
        shift + rng.normal(size=(1, 20, 25, 3)).astype(np.float32)
        for _ in range(24)
    ])


class Pretender:
    """Stands for :class:`Children`: writes what the tools would.

    Attributes:
        calls (list[str]): What was called: 'train', 'test' or 'frozen'.
        commands (list[list[str]]): The commands.
        fail (str): What fails.
        stop (str): During what the user ends the suite.
        epochs (int): The last epoch of trainings.
    """

    def __init__(self, fail='', stop='', epochs=None):
        self.calls, self.commands = [], []
        self.fail, self.stop, self.epochs = fail, stop, epochs
        self.stopped = False

    def run(self, command, log, env, keep):
        command = list(command)
        kind = command[-3].rpartition('.')[2] if '-m' in command else (
            Path(command[1]).stem)
        self.calls.append(kind)
        self.commands.append(command)
        self.environment = env
        if kind == self.stop:
            self.stopped = True
            return Usage(-15, 2., 3.)
        if kind == self.fail:
            with open(log, 'a') as file:
                file.write(f'error: it broke\n{DEBUG_HINT}\n')
            return Usage(1, 2., 3.)
        getattr(self, kind)(command)
        return Usage(0, 2., 3.)

    @staticmethod
    def value(command, flag):
        return command[command.index(flag) + 1]

    def train(self, command):
        folder = Path(self.value(command, '--work-dir'))
        epochs = self.epochs or (3 if 'mae' in command[2] else 4)
        path = folder / f'epoch_{epochs}.pth'
        # Other settings and seeds, other weights.
        text = ' '.join(x for x in command if str(folder) not in x)
        torch.save(
            dict(state_dict=dict(w=torch.tensor([hash(text) % 2**31])),
                 meta=dict(epoch=epochs, iter=7 * epochs)), path)
        (folder / 'last_checkpoint').write_text(str(path.resolve()))

    def test(self, command):
        scores = np.eye(3)[[0, 1, 2, 0]]
        save_predictions(self.value(command, '--dump'),
                         Predictions(scores, np.array([0, 1, 2, 1])))

    def frozen(self, command):
        request = json.loads(Path(command[-2]).read_text())
        Path(command[-1]).write_text(json.dumps(frozen_result(request)))


def frozen_result(request, linear=(.5, .7), held_out=(.4, .6)):
    """What an evaluation says: two probes for each read-out."""
    figures, runs = [], []
    for test in request['tests']:
        for readout, value, known in zip(request['readouts'], linear,
                                         held_out):
            common = dict(test=test, readout=readout, state='reproduced',
                          num_clips=8, num_classes=3)
            figures += [
                dict(common, metric='linear', values=[value, value + .1]),
                dict(common, metric='knn_k1', values=[value - .1])]
            runs.append(dict(test=test, readout=readout, diagnostics={},
                             notes=dict(linear=dict(validation_accuracy={
                                 '0.1': known, '1.0': known - .1}))))
    return dict(figures=figures, runs=runs, data={}, warnings=[])


class Bench:
    """A suite with its folder, run by a pretender."""

    def __init__(self, work_dir):
        self.work_dir = work_dir
        self.said = []

    def run(self, cell=('mae', 'demo', 0), changes=None, only=None,
            **pretend):
        """Run a cell; what was called."""
        suite = suite_of(**(changes or {}))
        self.stages = stages_of(suite, Cell(*cell), plan(suite, DataFiles()))
        children = Pretender(**pretend)
        self.commands = children.commands
        self.runner = Runner(suite, self.work_dir, children,
                             say=self.said.append, only=only)
        try:
            self.done = self.runner.run(Cell(*cell), self.stages)
        finally:
            self.record = read_record(
                Cell(*cell).record_path(self.work_dir))
        return children.calls
