# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Time a step of pre-training, and say where the time goes.

With --baseline the same method is also run as one would write it at first, on
the same weights and batch, a step of the one and a step of the other in turn:
attention that materialises its scores, float32, absent persons computed like
any other, optimizer and moving average tensor by tensor.
"""
import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table

import skel_ssl
from skel_ssl.utils.cli import OptionsAction, check_option_names, run
from skel_ssl.utils.environment import cpu_name
from skel_ssl.utils.files import write_json
from skel_ssl.utils.step_benchmark import (
    DTYPES,
    Trainee,
    compare,
    count_flops,
    make_batch,
    memory_in_use,
    plain_config,
)


def parse_args() -> argparse.Namespace:
    about = __doc__.split('\n\n')
    parser = argparse.ArgumentParser(description=about[0], epilog=about[1])
    parser.add_argument('config', help='config of a pre-training')
    parser.add_argument(
        '--batch-size', type=int, default=8,
        help='clips (default: %(default)s)')
    parser.add_argument(
        '--absent',
        type=float,
        default=0.4,
        help='share of the person slots that are empty; 0.4 is that of NTU '
        'RGB+D 60 (default: %(default)s)')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], default='cpu',
        help='default: %(default)s')
    parser.add_argument(
        '--dtype', choices=list(DTYPES), default='float32',
        help='default: %(default)s')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the blocks, as tools/train.py --compile does')
    parser.add_argument(
        '--baseline', action='store_true',
        help='also the plain way to write the method, in turn')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in tools/train.py; of the '
        'baseline, too')
    parser.add_argument(
        '--steps', type=int, default=5,
        help='steps of each kind (default: %(default)s)')
    parser.add_argument(
        '--warmup', type=int, default=1,
        help='steps before (default: %(default)s)')
    parser.add_argument(
        '--threads', type=int, help="CPU threads (default: PyTorch's)")
    parser.add_argument(
        '--out', type=Path, metavar='F.json', help='write the figures')
    args = parser.parse_args()
    for name, least in (('batch_size', 1), ('steps', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            parser.error(f'--{name.replace("_", "-")} is {least} or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: there is no GPU, or torch has no CUDA')
    return args


def measure(trainees: List[Trainee], batch: Dict[str, Any], steps: int,
            warmup: int) -> Tuple[List[float], List[float]]:
    """Median seconds of a step, and wall seconds; steps in turn.

    On a GPU each step is waited for once, at its end; the parts are told
    apart in steps of their own.
    """
    spent: List[List[float]] = [[] for _ in trainees]
    wall: List[List[float]] = [[] for _ in trainees]
    for step in range(warmup + steps):
        for i, trainee in enumerate(trainees):
            if step == warmup:
                trainee.watch.seconds.clear()
            trainee.watch.running = trainee.device.type == 'cpu'
            began = time.perf_counter()
            seconds = trainee.step(batch)
            if step >= warmup:
                spent[i].append(seconds)
                wall[i].append(time.perf_counter() - began)
    for trainee in trainees:
        if not trainee.watch.running:
            trainee.watch.running = True
            for _ in range(steps):
                trainee.step(batch)
    return ([statistics.median(x) for x in spent],
            [statistics.median(x) for x in wall])


def machine(device: torch.device) -> str:
    """What the figures are of."""
    text = (f'{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} '
            f'threads, torch {torch.__version__}')
    if device.type == 'cuda':
        text = f'{torch.cuda.get_device_name(device)}; {text}'
    return text


def show(console: Console, record: Dict[str, Any]) -> None:
    """Print the figures."""
    table = Table(title=f'{record["config"]}, batch {record["batch_size"]}, '
                  f'{record["absent"]:.0%} of the persons absent')
    for column in ('', 'here', 'baseline'):
        table.add_column(column, justify='left' if not column else 'right')
    base = record.get('baseline', {})
    for name, key, form in (('seconds of a step', 'seconds_per_step', '.3f'),
                            ('clips per second', 'clips_per_second', '.2f'),
                            ('TFLOP/s', 'tflops', '.3f')):
        table.add_row(name, f'{record[key]:{form}}',
                      f'{base[key]:{form}}' if base else '')
    memory = record['peak_memory_bytes'] / 1e9
    table.add_row('peak memory, GB', f'{memory:.2f}')
    for name, share in record['shares'].items():
        table.add_row(f'share: {name}', f'{share:.1%}',
                      f'{base["shares"].get(name, 0):.1%}' if base else '')
    console.print(table)
    if base:
        console.print(
            f'{record["speedup"]:.2f} times the baseline; loss and gradients '
            f'of the same persons differ by '
            f'{record["max_rel_loss_diff"]:.1e} and '
            f'{record["max_rel_grad_diff"]:.1e}')
    console.print(record['machine'], style='dim', highlight=False)


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    init_default_scope('mmaction')
    MMLogger.get_instance('benchmark', log_level='WARNING')
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        check_option_names(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    device = torch.device(args.device)
    batch = make_batch(cfg, args.batch_size, args.absent)

    # First of all, while the process has no memory that it has freed.
    before = memory_in_use(device, reset=True)
    ours = Trainee(cfg, device, args.dtype, compiled=args.compile)
    ours.step(batch)
    peak = memory_in_use(device) - before
    flops = count_flops(cfg, batch)
    trainees = [ours]
    record: Dict[str, Any] = {}
    if args.baseline:
        plain = plain_config(cfg)
        trainees.append(Trainee(plain, device, loop_ema=True))
        plain.model.data_preprocessor.skip_empty_persons = True
        reference = Trainee(plain, device).gradients(batch)
        fresh = Trainee(cfg, device, args.dtype, compiled=args.compile)
        record.update(compare(fresh.gradients(batch), reference))
        del fresh, reference
    spent, wall = measure(trainees, batch, args.steps, args.warmup)

    def figures(i: int) -> Dict[str, Any]:
        seconds = trainees[i].watch.seconds
        return dict(
            seconds_per_step=spent[i],
            clips_per_second=args.batch_size / wall[i],
            tflops=flops / wall[i] / 1e12,
            shares={
                name: value / sum(seconds.values())
                for name, value in sorted(
                    seconds.items(), key=lambda item: -item[1])
            })

    record.update(
        figures(0),
        config=args.config,
        batch_size=args.batch_size,
        absent=args.absent,
        device=args.device,
        dtype=args.dtype,
        compiled=args.compile,
        options=args.cfg_options or {},
        steps=args.steps,
        flops=flops,
        peak_memory_bytes=peak,
        machine=machine(device),
        version=skel_ssl.__version__)
    if args.baseline:
        record.update(baseline=figures(1), speedup=spent[1] / spent[0])
    show(Console(), record)
    if args.out is not None:
        write_json(args.out, record)


if __name__ == '__main__':
    run(main)
