# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The quickstart: pre-train on the synthetic sample, evaluate, compare.

Each step is an ordinary call of the tools; the commands are printed.
"""
import argparse
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import List, NamedTuple

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

import skel_ssl  # noqa: F401  registers everything
from skel_ssl.datasets import SeededIndex
from skel_ssl.registry import DATASETS
from skel_ssl.visualization import draw_learning_curve, draw_mask
from skel_ssl.visualization.curves import read_scalars

PRETRAIN = 'configs/skel2vec_demo.py'
LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
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
        return int(max((r.get('epoch', 0) for r in records), default=0))


def run(step: Step) -> None:
    """Run a step behind a progress bar.

    Raises:
        SystemExit: With the end of the log, if it fails.
    """
    console.print('[dim]$ python ' + shlex.join(step.arguments))
    step.work_dir.mkdir(parents=True, exist_ok=True)
    log = step.work_dir / 'output.log'
    columns = (TextColumn('{task.description:32}'), BarColumn(),
               TextColumn('{task.fields[unit]:>14}'), TimeElapsedColumn(),
               TextColumn('left'), TimeRemainingColumn())
    with open(log, 'w') as out:
        process = subprocess.Popen([sys.executable, *step.arguments],
                                   stdout=out,
                                   stderr=subprocess.STDOUT)
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task(
                step.title, total=step.epochs or None, unit='')
            while process.poll() is None:
                time.sleep(0.5)
                if step.epochs:
                    done = step.epochs_done()
                    unit = f'{done}/{step.epochs} epochs'
                    progress.update(bar, completed=done, unit=unit)
            if not step.epochs:
                progress.update(bar, total=1, completed=1)
    finally:
        process.kill()  # does nothing to one that has ended
    if process.wait():
        console.print(f'[bold red]{step.title} failed;[/] the end of {log}:')
        print(*log.read_text().splitlines()[-15:], sep='\n')
        sys.exit(1)


def evaluate(checkpoint: Path, work_dir: Path) -> None:
    """Show the table of the frozen encoder, beside its floors.

    Raises:
        SystemExit: If the evaluation fails; it has said why.
    """
    command = [
        'tools/evaluate.py', LINEAR,
        str(checkpoint), '--protocols', 'linear', 'knn', '--cache-dir',
        str(work_dir / 'features'), '--out',
        str(work_dir / 'results.json')
    ]
    console.print('[dim]$ python ' + shlex.join(command))
    if subprocess.run([sys.executable, *command]).returncode:
        sys.exit(1)


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
        run(
            Step('making the sample data', work_dir / 'data',
                 ['tools/data/make_sample.py', '--out',
                  str(sample)]))
    epochs = cfg.train_cfg.max_epochs
    pretrain = work_dir / 'pretrain'
    run(
        Step('pre-training Skeleton2vec', pretrain, [
            'tools/train.py', PRETRAIN, '--work-dir',
            str(pretrain), '--cfg-options',
            f'default_hooks.checkpoint.interval={epochs}'
        ], epochs))
    checkpoint = pretrain / f'epoch_{epochs}.pth'
    evaluate(checkpoint, work_dir)
    for path in [*draw_pictures(work_dir), checkpoint]:
        console.print(f'  {path}')
    console.print(f'{time.monotonic() - start:.0f} s in all')


if __name__ == '__main__':
    main()
