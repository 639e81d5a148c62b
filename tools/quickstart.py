# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The quickstart: pre-train on the synthetic sample, then probe and compare.

Each step is an ordinary call of the tools; the commands are printed.
"""
import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

import skel_ssl  # noqa: F401  registers everything
from skel_ssl.datasets import SeededIndex
from skel_ssl.registry import DATASETS
from skel_ssl.visualization import draw_learning_curve, draw_mask
from skel_ssl.visualization.curves import read_scalars

PRETRAIN = 'configs/skel2vec_demo.py'
LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
KNN = 'configs/benchmarks/knn/skel2vec_demo.py'
console = Console()


class Step(NamedTuple):
    """One call of a tool.

    Attributes:
        title (str): What to tell the user.
        work_dir (Path): Where it writes.
        arguments (list[str]): The call, without Python.
        epochs (int): How many epochs it trains, 0 if none.
    """
    title: str
    work_dir: Path
    arguments: List[str]
    epochs: int = 0

    def epochs_done(self) -> int:
        logs = sorted(self.work_dir.glob('*/vis_data/scalars.json'))
        records = read_scalars(logs[-1]) if logs else []
        return max((r.get('epoch', 0) for r in records), default=0)


def run(steps: List[Step]) -> None:
    """Run steps side by side, with a bar for each.

    Raises:
        SystemExit: With the end of the log, if one fails.
    """
    threads = max((os.cpu_count() or 1) // len(steps), 1)
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    processes, logs = [], []
    for step in steps:
        console.print('[dim]$ python ' + shlex.join(step.arguments))
        step.work_dir.mkdir(parents=True, exist_ok=True)
        logs.append(step.work_dir / 'output.log')
        with open(logs[-1], 'w') as out:
            processes.append(
                subprocess.Popen([sys.executable, *step.arguments],
                                 env=env,
                                 stdout=out,
                                 stderr=subprocess.STDOUT))
    columns = (TextColumn('{task.description:32}'), BarColumn(),
               TextColumn('{task.fields[unit]:>14}'), TimeElapsedColumn(),
               TextColumn('left'), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            bars = [
                progress.add_task(s.title, total=s.epochs or None, unit='')
                for s in steps
            ]
            running = True
            while running:
                time.sleep(0.5)
                running = any(p.poll() is None for p in processes)
                for step, bar in zip(steps, bars):
                    if step.epochs:
                        done = step.epochs_done()
                        unit = f'{done}/{step.epochs} epochs'
                        progress.update(bar, completed=done, unit=unit)
                    elif not running:
                        progress.update(bar, total=1, completed=1)
    finally:
        for process in processes:
            process.kill()  # does nothing to one that has ended
    for step, process, log in zip(steps, processes, logs):
        if process.wait():
            console.print(f'[bold red]{step.title} failed;[/] the end of '
                          f'{log}:')
            print(*log.read_text().splitlines()[-15:], sep='\n')
            sys.exit(1)


def last_metrics(work_dir: Path) -> Dict[str, float]:
    """What the latest validation or test of a work dir found."""
    found: Dict[str, float] = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for record in read_scalars(log):
            found.update({k: v for k, v in record.items() if '/' in k})
    for log in sorted(work_dir.glob('*/*.json')):
        found.update(json.loads(log.read_text()))
    return found


def draw_pictures(work_dir: Path) -> List[Path]:
    """The mask of one clip, and the learning curve."""
    cfg = Config.fromfile(PRETRAIN)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    # The same clip in every run, one in which a person moves.
    packed = dataset[SeededIndex(len(dataset) // 3, seed=0)]
    name = packed['data_samples'].frame_dir
    figures = {
        'masks.png':
        draw_mask(
            packed['inputs'][0, 0].numpy(),
            packed['data_samples'].mask[0, 0].numpy(),
            title=f'Motion-aware tube mask of {name}.',
            vertical=2),
        'learning_curve.png':
        draw_learning_curve(
            sorted((work_dir /
                    'pretrain').glob('*/vis_data/scalars.json'))[-1],
            title='Skeleton2vec on the synthetic sample')
    }
    for file, figure in figures.items():
        figure.savefig(work_dir / file, dpi=110)
    return [work_dir / file for file in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='where everything goes; emptied first')
    args = parser.parse_args()
    work_dir, start = args.work_dir, time.monotonic()
    shutil.rmtree(work_dir, ignore_errors=True)

    cfg = Config.fromfile(PRETRAIN)
    sample = Path(cfg.ann_file)
    if not sample.exists():
        run([
            Step('making the sample data', work_dir / 'data',
                 ['tools/data/make_sample.py', '--out',
                  str(sample)])
        ])
    epochs = cfg.train_cfg.max_epochs
    pretrain = work_dir / 'pretrain'
    run([
        Step('pre-training Skeleton2vec', pretrain, [
            'tools/train.py', PRETRAIN, '--work-dir',
            str(pretrain), '--cfg-options',
            f'default_hooks.checkpoint.interval={epochs}'
        ], epochs)
    ])
    checkpoint = str(pretrain / f'epoch_{epochs}.pth')
    weights = {
        'random': ([], ['--untrained']),
        'pre-trained': (['--pretrained', checkpoint], ) * 2
    }
    probe_epochs = Config.fromfile(LINEAR).train_cfg.max_epochs
    linear = {k: work_dir / f'linear_{k}' for k in weights}
    run([
        Step(f'linear probe, {k} encoder', linear[k], [
            'tools/train.py', LINEAR, '--work-dir',
            str(linear[k]), *options[0]
        ], probe_epochs) for k, options in weights.items()
    ])
    knn = {k: work_dir / f'knn_{k}' for k in weights}
    run([
        Step(f'kNN, {k} encoder', knn[k], [
            'tools/test.py', KNN, '--work-dir',
            str(knn[k]), *options[1]
        ]) for k, options in weights.items()
    ])
    pictures = draw_pictures(work_dir)

    table = Table(title='Synthetic sample, cross-subject, top-1 accuracy (%), '
                  'one seed')
    table.add_column('frozen encoder, mean over tokens')
    for k in weights:
        table.add_column(k, justify='right')
    figures = {k: {**last_metrics(linear[k]), **last_metrics(knn[k])}
               for k in weights}
    for title, key in (('linear probe', 'acc/top1'), ('kNN, k=1',
                                                      'knn/top1_k1'),
                       ('kNN, k=20', 'knn/top1_k20')):
        table.add_row(title,
                      *(f'{100 * figures[k][key]:.1f}' for k in weights))
    table.add_row('chance', *[f'{100 / cfg.classes:.1f}'] * 2, style='dim')
    console.print(table)
    (work_dir / 'results.json').write_text(json.dumps(figures, indent=1))
    for path in [*pictures, work_dir / 'results.json', Path(checkpoint)]:
        console.print(f'  {path}')
    console.print(f'{time.monotonic() - start:.0f} s in all')


if __name__ == '__main__':
    main()
