# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features of clips in the plane."""
import importlib.util
from typing import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

METHODS = ('tsne', 'umap')
_MARKERS = 'os^vD*'
_ROWS = 30  # of a column of the legend
_MANY = 20  # above so many classes colours are used again


def check_method(method: str) -> None:
    """Raise if a method is unknown, or what it needs is not installed.

    Raises:
        ValueError: If there is no such method.
        ImportError: If UMAP is not installed.
    """
    if method not in METHODS:
        raise ValueError(f'there is no method {method!r}; choose one of '
                         f'{METHODS}')
    if method == 'umap' and importlib.util.find_spec('umap') is None:
        raise ImportError('UMAP is not installed: pip install umap-learn, or '
                          "take 'tsne'")


def embed(features: np.ndarray,
          method: str = 'tsne',
          seed: int = 0,
          perplexity: float = 30.) -> np.ndarray:
    """Map features to the plane; directions count, lengths do not.

    Args:
        features (np.ndarray): ``(n, D)``.
        method (str): ``'tsne'``, or ``'umap'`` with the package umap-learn.
        seed (int): Of the random numbers.
        perplexity (float): Of t-SNE, about how many neighbours count; UMAP's
            ``n_neighbors``. Lowered for few clips.

    Returns:
        np.ndarray: ``(n, 2)``.

    Raises:
        ValueError: If there are fewer than 5 clips, and see
            :func:`check_method`.
        ImportError: See :func:`check_method`.
    """
    check_method(method)
    if len(features) < 5:
        raise ValueError(f'{len(features)} clips are too few for a map: give '
                         '5 or more')
    length = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.maximum(length, 1e-12)
    neighbours = min(perplexity, (len(features) - 1) / 3)
    if method == 'umap':
        from umap import UMAP
        return UMAP(n_neighbors=max(int(neighbours), 2), metric='cosine',
                    random_state=seed).fit_transform(features)
    from sklearn.manifold import TSNE
    return TSNE(perplexity=neighbours, init='pca', learning_rate='auto',
                random_state=seed).fit_transform(features)


def draw_embedding(points: np.ndarray,
                   labels: np.ndarray,
                   names: Sequence[str],
                   title: str = '') -> Figure:
    """Draw clips as points, a colour and a mark for each class.

    The number of a class stands at its centre and in the legend, since more
    than 20 classes cannot be told apart by colour alone.

    Args:
        points (np.ndarray): ``(n, 2)``.
        labels (np.ndarray): ``(n, )`` int, classes.
        names (Sequence[str]): Names of the classes.
        title (str): Title of the figure.

    Returns:
        Figure: One axes, with one collection for each class that is there.

    Raises:
        ValueError: If a label has no name.
    """
    classes = np.unique(labels)
    if not 0 <= classes[0] <= classes[-1] < len(names):
        raise ValueError(f'labels run from {classes[0]} to {classes[-1]} and '
                         f'there are {len(names)} names of classes')
    columns = -(-len(classes) // _ROWS)
    widest = max(len(str(names[c])) for c in classes)
    side = (0.075 * widest + 0.6) * columns
    wide, high = np.ptp(points, axis=0)
    height = float(np.clip(7 * high / wide, 4.5, 8))
    fig = Figure(figsize=(7 + side, height), layout='constrained')
    ax = fig.add_subplot()
    tab = colormaps['tab20'].colors
    # Dark shades first, then the light ones.
    palette = tab[::2] + tab[1::2] if len(classes) <= _MANY else tab[::2]
    size = float(np.clip(9000 / len(points), 8, 40))
    for place, label in enumerate(classes):
        mark = place // len(palette) % len(_MARKERS)
        ax.scatter(*points[labels == label].T, s=size, alpha=.8,
                   color=palette[place % len(palette)], linewidths=0,
                   marker=_MARKERS[mark], label=f'{label}  {names[label]}')
    for label in classes:
        ax.text(*_densest(points[labels == label]), str(label),
                fontsize=9 if len(classes) <= _MANY else 7.5, ha='center',
                va='center', fontweight='bold',
                path_effects=[withStroke(linewidth=2.5, foreground='white')])
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect('equal', 'datalim')
    ax.spines[:].set_color('#e3e6ea')
    ax.set_title(title, fontsize=11, fontweight='bold', loc='left')
    fig.legend(loc='outside right upper', ncols=columns, fontsize=8,
               frameon=False, markerscale=(45 / size)**.5,
               handletextpad=.3, columnspacing=1)
    return fig


def _densest(points: np.ndarray) -> np.ndarray:
    """The point that is nearest to a quarter of the others; a mean could
    lie between two clusters, where there is none."""
    gaps = np.linalg.norm(points[:, None] - points, axis=2)
    return points[np.sort(gaps)[:, :len(points) // 4 + 1].mean(1).argmin()]
