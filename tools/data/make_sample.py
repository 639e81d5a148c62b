# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Make the synthetic sample: a pose pickle in MMAction2's format."""
import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Dict

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from skel_ssl.datasets.layouts import NTU25
from skel_ssl.datasets.synthetic import make_dataset, save

COLOURS = ('#00798c', '#d1495b')


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


def contact_sheet(dataset: Dict[str, Any], num_poses: int = 8) -> Figure:
    """One row a class: the first clip of its class along time."""
    names = dataset['classes']
    first = {}
    for clip in dataset['annotations']:
        first.setdefault(clip['label'], clip['keypoint'])
    fig = Figure(
        figsize=(1.7 * num_poses, 1.6 * len(names)), layout='constrained')
    axes = fig.subplots(len(names), num_poses, squeeze=False)
    for label, row in enumerate(axes):
        keypoint = first[label]
        x, y = keypoint[..., 0], keypoint[..., 1]
        seen = keypoint.any(-1)
        reach = .55 * max(np.ptp(x[seen]), np.ptp(y[seen]))
        middle = [(v[seen].max() + v[seen].min()) / 2 for v in (x, y)]
        frames = np.linspace(0, keypoint.shape[1] - 1, num_poses).astype(int)
        for ax, frame in zip(row, frames):
            for person, colour in zip(range(len(keypoint)), COLOURS):
                if not seen[person, frame].any():
                    continue
                for bone in NTU25.bones:
                    bone = list(bone)
                    ax.plot(
                        x[person, frame, bone],
                        y[person, frame, bone],
                        c=colour,
                        lw=1.3)
            # As the camera sees it: its x runs to the left.
            ax.set_xlim(middle[0] + reach, middle[0] - reach)
            ax.set_ylim(middle[1] - reach, middle[1] + reach)
            ax.set_aspect('equal')
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_frame_on(False)
        row[0].set_ylabel(
            names[label], rotation=0, ha='right', va='center', fontsize=9)
    return fig


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
        contact_sheet(dataset).savefig(args.picture, dpi=80)
        console.print(args.picture)


if __name__ == '__main__':
    main()
