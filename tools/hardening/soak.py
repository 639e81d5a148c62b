# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Train for a long time, and see whether anything grows.

Memory of the process and of its workers, open file handles, threads and GPU
memory are sampled all along. A line is laid through the second half of each:
memory may rise by --limit of what it was, a count by less than one. Exit
status 1 if anything grows. Reads /proc, so on Linux only.
"""
import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

import skel_ssl  # noqa: F401  registers everything
from skel_ssl.utils.cli import (
    OptionsAction,
    build_runner,
    check_option_names,
    run,
)
from skel_ssl.utils.files import write_json
from skel_ssl.utils.person_batches import PLACES, use_person_batches

MIB = 2**20
COUNTS = ('file handles', 'threads', 'workers')

Samples = Dict[str, List[float]]


def parse_args() -> argparse.Namespace:
    about = __doc__.split('\n\n')
    parser = argparse.ArgumentParser(description=about[0], epilog=about[1])
    parser.add_argument('config', help='config of any training')
    parser.add_argument(
        '--steps',
        type=int,
        default=2000,
        help='training steps, rounded up to whole epochs '
        '(default: %(default)s)')
    parser.add_argument(
        '--every',
        type=int,
        help='steps between two samples (default: a hundredth of --steps)')
    parser.add_argument(
        '--limit',
        type=float,
        default=0.02,
        help='how much memory may rise over the second half, as a share '
        '(default: %(default)s)')
    parser.add_argument(
        '--workers', type=int, help="instead of the config's data workers")
    parser.add_argument(
        '--person-batches', choices=PLACES, help='as in tools/train.py')
    parser.add_argument(
        '--work-dir',
        help='where checkpoints and logs go (default: a temporary folder)')
    parser.add_argument(
        '--out', type=Path, metavar='F.json', help='write the samples')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in tools/train.py')
    args = parser.parse_args()
    args.every = args.every or max(args.steps // 100, 1)
    if min(args.every, args.steps // args.every - 7) < 1:
        parser.error(f'{args.steps} steps with a sample every {args.every} '
                     'are fewer than the 8 samples that show a trend')
    return args


def resident_bytes(pid: int) -> int:
    """Memory of a process that is there, its share of shared pages included.

    0 if the process has ended.
    """
    try:
        pages = Path(f'/proc/{pid}/statm').read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * os.sysconf('SC_PAGE_SIZE')


def take_sample() -> Dict[str, float]:
    """What this process and its workers hold now."""
    workers = multiprocessing.active_children()
    sample: Dict[str, float] = {
        'memory, MiB': resident_bytes(os.getpid()) / MIB,
        'memory of the workers, MiB':
        sum(resident_bytes(worker.pid or 0) for worker in workers) / MIB,
        'file handles': len(os.listdir('/proc/self/fd')),
        'threads': len(os.listdir('/proc/self/task')),
        'workers': len(workers)
    }
    if torch.cuda.is_available():
        sample['GPU memory, MiB'] = torch.cuda.memory_allocated() / MIB
        sample['GPU memory reserved, MiB'] = (
            torch.cuda.memory_reserved() / MIB)
    return sample


class SoakHook(Hook):
    """Takes the samples, and ends the run with the epoch.

    Args:
        steps (int): After how many steps to end it.
        every (int): Steps between two samples.
        progress (Progress): Shows how far the run is.
    """
    priority = 'LOWEST'

    def __init__(self, steps: int, every: int, progress: Progress) -> None:
        self.end = steps
        self.every = every
        self.progress = progress
        self.steps: List[int] = []
        self.samples: Samples = {}

    def before_train(self, runner: Runner) -> None:
        self.task = self.progress.add_task('training', total=self.end)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        self.progress.update(self.task, completed=runner.iter + 1)
        if self.every_n_train_iters(runner, self.every):
            self.steps.append(runner.iter + 1)
            for name, value in take_sample().items():
                self.samples.setdefault(name, []).append(value)
        if runner.iter + 1 >= self.end:
            runner.train_loop.stop_training = True


def trend(steps: List[int], values: List[float]) -> Dict[str, float]:
    """A straight line through the second half of a series.

    Args:
        steps (list[int]): Where the samples are.
        values (list[float]): As many samples.

    Returns:
        dict: ``first`` and ``last`` of all samples, the line's ``rise`` from
        the start of the second half to its end, and its ``share`` of the
        line's height at the start (0 where there is nothing).
    """
    half = len(steps) // 2
    at, held = np.array(steps[half:], float), np.array(values[half:], float)
    slope, height = np.polyfit(at - at[0], held, 1)
    rise = slope * (at[-1] - at[0])
    return dict(
        first=values[0],
        last=values[-1],
        rise=float(rise),
        share=float(rise / height) if height > 0 else 0.)


def judge(steps: List[int], samples: Samples,
          limit: float) -> Dict[str, Dict[str, float]]:
    """The trend of each series, with ``grows``.

    Args:
        steps (list[int]): Where the samples are.
        samples (dict[str, list[float]]): The series.
        limit (float): By which share memory may rise; a count may rise by
            less than one.
    """
    found = {}
    for name, values in samples.items():
        line = trend(steps, values)
        grows = (
            line['rise'] > 0.99 if name in COUNTS else line['share'] > limit)
        found[name] = dict(line, grows=grows)
    return found


def soak(cfg: Config, steps: int, every: int,
         console: Console) -> SoakHook:
    """Train, whole epochs of at least so many steps."""
    cfg.log_level = 'WARNING'
    cfg.train_cfg.max_epochs = steps  # the hook ends it, an epoch has several
    runner = build_runner(cfg)
    with Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=console) as progress:
        hook = SoakHook(steps, every, progress)
        runner.register_hook(hook)
        runner.train()
    return hook


def show(console: Console, title: str,
         found: Dict[str, Dict[str, float]]) -> None:
    """Print the verdict on each series."""
    table = Table(title=title)
    for column in ('', 'first', 'last', 'rise in the 2nd half', 'verdict'):
        table.add_column(column, justify='right' if column else 'left')
    for name, line in found.items():
        table.add_row(
            name, f'{line["first"]:.1f}', f'{line["last"]:.1f}',
            f'{line["rise"]:+.2f} ({line["share"]:+.2%})',
            '[bold red]growing' if line['grows'] else 'flat')
    console.print(table)


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        check_option_names(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    if args.workers is not None:
        for part in ('train', 'val'):
            if cfg.get(f'{part}_dataloader') is not None:
                cfg[f'{part}_dataloader'].update(
                    num_workers=args.workers,
                    persistent_workers=args.workers > 0)
    if args.person_batches is not None:
        use_person_batches(cfg, args.person_batches)
    console = Console()
    with tempfile.TemporaryDirectory(prefix='soak_') as temporary:
        cfg.work_dir = args.work_dir or temporary
        hook = soak(cfg, args.steps, args.every, console)
    found = judge(hook.steps, hook.samples, args.limit)
    show(console, f'{args.config}, {hook.steps[-1]} steps', found)
    if args.out is not None:
        write_json(
            args.out,
            dict(
                config=args.config,
                limit=args.limit,
                trends=found,
                steps=hook.steps,
                samples=hook.samples))
    growing = [name for name, line in found.items() if line['grows']]
    if growing:
        console.print(f'[bold red]growing:[/] {", ".join(growing)}')
        sys.exit(1)


if __name__ == '__main__':
    run(main)
