# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Learning curves from the runner's own log."""
import json
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter1d

LABELS = {
    'loss': 'loss',
    'lr': 'learning rate',
    'ema_decay': 'decay of the teacher',
    'grad_norm': 'gradient norm',
    'acc/top1': 'top-1 accuracy'
}
TRAINING = ('loss', 'lr', 'ema_decay', 'grad_norm')
# Apart for the colour-blind, too (Okabe and Ito).
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9',
            '#000000')
_LINES = ('-', '--', ':', '-.')
_COLUMNS = 4  # panels in a row

Record = Dict[str, float]


def read_scalars(path: Union[str, Path]) -> List[Record]:
    """Read the ``scalars.json`` that MMEngine's LocalVisBackend writes.

    A half-written last line, of a run that goes on or was killed, is left
    out.
    """
    records = []
    for line in Path(path).read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def find_logs(path: Union[str, Path]) -> List[Path]:
    """The logs of a run, the oldest first; a resumed run has several.

    Args:
        path (str | Path): A ``scalars.json``, or a work dir.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    logs = sorted(path.glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(
            f'{path} is neither a scalars.json nor a work dir with '
            '*/vis_data/scalars.json in it')
    return logs


def curve(logs: Sequence[Sequence[Record]],
          key: str) -> Tuple[np.ndarray, np.ndarray]:
    """Steps and values of a scalar.

    Args:
        logs (Sequence[Sequence[Record]]): Records of a run, the oldest log
            first. Where a later log begins, an earlier one ends: these
            steps were done again.
        key (str): The scalar.

    Returns:
        tuple[np.ndarray, np.ndarray]: Iterations, or epochs where the
        runner counts these (as for the accuracy of a validation).
    """
    points: List[Tuple[float, float]] = []
    for records in logs:
        new = [(r['step'], r[key]) for r in records if key in r]
        if new:
            points = [p for p in points if p[0] < new[0][0]] + new
    steps, values = np.array(points, float).reshape(-1, 2).T
    return steps, values


def draw_curves(runs: Mapping[str, Sequence[Sequence[Record]]],
                keys: Optional[Sequence[str]] = None,
                title: str = '',
                smooth: int = 1) -> Figure:
    """Draw scalars of one or more runs, a panel each, a colour a run.

    Args:
        runs (Mapping): Logs of each run, see :func:`curve`, by its name.
        keys (Sequence[str], optional): Which scalars; None: loss, learning
            rate, decay of the teacher, gradient norm and top-1 accuracy,
            those that there are.
        title (str): Title of the figure.
        smooth (int): Mean over so many points; the points themselves are
            then drawn pale.

    Raises:
        ValueError: If no run has one of the scalars, with those that there
            are; or ``smooth`` is below 1.
    """
    if smooth < 1:
        raise ValueError(f'smooth={smooth} must be 1 or more')
    there = {key: None for logs in runs.values() for records in logs
             for record in records for key in record}
    wanted = keys if keys is not None else [
        key for key in LABELS if key in there
    ]
    missing = [key for key in wanted if key not in there]
    if missing or not wanted:
        known = sorted(set(there) - {'step', 'epoch', 'iter'})
        raise ValueError(
            f'{", ".join(runs)}: no log has {missing or "any record"}; there '
            f'are {known or "no records at all"}')
    rows = -(-len(wanted) // _COLUMNS)
    columns = -(-len(wanted) // rows)
    legend = len(runs) > 1
    fig = Figure(
        figsize=(max(3.6 * columns, 5.), 3.2 * rows + 0.5 * legend),
        layout='constrained')
    axes = np.ravel(fig.subplots(rows, columns, squeeze=False))
    for ax in axes[len(wanted):]:
        ax.axis('off')
    for ax, key in zip(axes, wanted):
        for i, (name, logs) in enumerate(runs.items()):
            steps, values = curve(logs, key)
            style = dict(
                c=_COLOURS[i % len(_COLOURS)],
                ls=_LINES[i // len(_COLOURS) % len(_LINES)],
                marker='o' if len(steps) == 1 else None)
            if smooth > 1:
                ax.plot(steps, values, alpha=.25, lw=.8, **style)
                values = uniform_filter1d(values, smooth, mode='nearest')
            ax.plot(steps, values, lw=1.5, label=name, **style)
        ax.set_xlabel(_unit(runs, key))
        ax.set_title(LABELS.get(key, key), fontsize=10)
        ax.grid(alpha=0.3)
        ax.spines[['top', 'right']].set_visible(False)
    if legend:
        handles, names = axes[0].get_legend_handles_labels()
        fig.legend(handles, names, loc='outside lower center', fontsize=8,
                   ncols=min(len(runs), 2 * columns), frameon=False)
    fig.suptitle(title)
    return fig


def _unit(runs: Mapping[str, Sequence[Sequence[Record]]], key: str) -> str:
    """What the runner counts: training is logged by iteration and knows its
    epoch; a validation has no number but its epoch."""
    records = [r for logs in runs.values() for records in logs
               for r in records]
    longest = max((r['step'] for r in records if 'iter' in r), default=0)
    own = [r for r in records if key in r]
    by_epoch = not any('iter' in r for r in own) and (
        not key.startswith('monitor/')
        and max(r['step'] for r in own) < longest)
    return 'epoch' if by_epoch else 'iteration'


def draw_learning_curve(path: Union[str, Path], title: str = '') -> Figure:
    """Draw loss, learning rate and teacher decay over the iterations.

    Args:
        path (str | Path): A run's ``scalars.json``.
        title (str): Title of the figure.

    Raises:
        ValueError: If the log has no training loss.
    """
    records = [r for r in read_scalars(path) if 'loss' in r and 'lr' in r]
    if not records:
        raise ValueError(f'{path} has no training loss to draw')
    keys = [key for key in TRAINING if key in records[0]]
    return draw_curves({str(path): [records]}, keys, title)
