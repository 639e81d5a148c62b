# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Make the synthetic sample: a pose pickle in MMAction2's format."""
import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Dict

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from skel_ssl.datasets.synthetic import make_dataset, save
from skel_ssl.visualization import draw_contact_sheet, make_scene
from skel_ssl.visualization.files import save_figure


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/skeleton/demo_3d.pkl'),
        help='the pickle to write (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, help='same seed, same clips')
    parser.add_argument(
        '--subjects',
        type=int,
        default=20,
        help='people, an even number from 4 on (default: %(default)s)')
    parser.add_argument(
        '--repetitions',
        type=int,
        default=2,
        help='takes of each class by each person and camera (default: '
        '%(default)s)')
    parser.add_argument(
        '--picture',
        type=Path,
        help='also draw one clip of each class into this PNG')
    return parser.parse_args()


def contact_sheet(dataset: Dict[str, Any]) -> Figure:
    """One row a class: the first clip of its class along time."""
    first: Dict[int, Any] = {}
    for clip in dataset['annotations']:
        first.setdefault(clip['label'], clip['keypoint'])
    return draw_contact_sheet([
        make_scene(first[label], 'ntu25', title=name)
        for label, name in enumerate(dataset['classes'])
    ])


def summary(dataset: Dict[str, Any]) -> Table:
    """Clips of each class in each split."""
    label = {c['frame_dir']: c['label'] for c in dataset['annotations']}
    counts = {
        name: Counter(label[clip] for clip in clips)
        for name, clips in dataset['split'].items()
    }
    table = Table(title='clips of the synthetic sample')
    table.add_column('class')
    for name in counts:
        table.add_column(name, justify='right')
    for i, name in enumerate(dataset['classes']):
        table.add_row(name, *(str(c[i]) for c in counts.values()))
    table.add_row(
        'all', *(str(sum(c.values())) for c in counts.values()), style='bold')
    return table


def main() -> None:
    args = parse_args()
    console = Console()
    dataset = make_dataset(
        args.seed, args.subjects, args.repetitions,
        partial(track, description='making clips', console=console))
    path = save(dataset, args.out)
    console.print(summary(dataset))
    console.print(f'{path}  {path.stat().st_size / 2**20:.0f} MiB')
    if args.picture is not None:
        args.picture.parent.mkdir(parents=True, exist_ok=True)
        save_figure(args.picture, contact_sheet(dataset), dpi=80)
        console.print(args.picture)


if __name__ == '__main__':
    main()
