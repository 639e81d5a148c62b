# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Learning curves from the runner's own log."""
import json
from pathlib import Path
from typing import Dict, List, Union

import numpy as np
from matplotlib.figure import Figure


def read_scalars(path: Union[str, Path]) -> List[Dict[str, float]]:
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
    panels = [('loss', 'loss'), ('lr', 'learning rate'),
              ('ema_decay', 'decay of the teacher'),
              ('grad_norm', 'gradient norm')]
    panels = [p for p in panels if p[0] in records[0]]
    fig = Figure(figsize=(3.6 * len(panels), 3.2), layout='constrained')
    step = np.array([r['step'] for r in records])
    for ax, (key, label) in zip(np.ravel(fig.subplots(1, len(panels))),
                                panels):
        ax.plot(step, [r[key] for r in records], c='#00798c')
        ax.set_xlabel('iteration')
        ax.set_title(label, fontsize=10)
        ax.grid(alpha=0.3)
    fig.suptitle(title)
    return fig
