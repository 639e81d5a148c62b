# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Learning curves of one or more runs in one picture.

  plot_curves.py work_dirs/skel2vec_nwucla
  plot_curves.py A B C --names "seed 0" "seed 1" "seed 2" --keys loss
"""
import argparse
from pathlib import Path
from typing import List

from rich.console import Console

from skel_ssl.utils.cli import run
from skel_ssl.visualization.curves import draw_curves, find_logs, read_scalars
from skel_ssl.visualization.files import save_figure


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'runs',
        nargs='+',
        type=Path,
        metavar='LOG_OR_WORK_DIR',
        help='a scalars.json, or a work dir; one that was resumed has '
        'several logs, which are put together')
    parser.add_argument(
        '--names',
        nargs='+',
        help='what the legend says of them (default: their folders)')
    parser.add_argument(
        '--keys',
        nargs='+',
        help='which scalars, such as loss, loss_rec, acc/top1 or '
        'monitor/student_rank (default: loss, learning rate, decay of the '
        'teacher, gradient norm, accuracy: what there is)')
    parser.add_argument(
        '--smooth',
        type=int,
        default=1,
        help='mean over so many points (default: none)')
    parser.add_argument('--title', default='', help='title of the picture')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/curves.png'),
        metavar='PNG',
        help='the picture (default: %(default)s)')
    args = parser.parse_args()
    if args.names is not None and len(args.names) != len(args.runs):
        parser.error(f'{len(args.names)} --names for {len(args.runs)} runs')
    if args.out.suffix != '.png':
        parser.error(f'--out {args.out} must end in .png')
    return args


def name_runs(paths: List[Path]) -> List[str]:
    """The shortest ends of the paths that tell them apart.

    Raises:
        ValueError: If a run is given twice.
    """
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f'a run is given twice: {", ".join(map(str, paths))}')


def main() -> None:
    args = parse_args()
    names = args.names or name_runs(args.runs)
    runs = {name: [read_scalars(log) for log in find_logs(path)]
            for name, path in zip(names, args.runs)}
    figure = draw_curves(runs, args.keys, args.title, args.smooth)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_figure(args.out, figure)
    Console().print(f'wrote {args.out}', highlight=False, markup=False,
                    soft_wrap=True)


if __name__ == '__main__':
    run(main)
