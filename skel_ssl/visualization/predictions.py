# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures of a test: confusions, classes, calibration."""
from typing import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from skel_ssl.evaluation.predictions import Calibration

RIGHT, WRONG, FAINT = '#00798c', '#d1495b', '#b8c0cc'
_MAX_WRITTEN = 25  # up to so many classes there is room for numbers in cells
_MAX_BARS = 60  # in one column of bars


def draw_confusion_matrix(matrix: np.ndarray,
                          names: Sequence[str],
                          title: str = '') -> Figure:
    """Draw the share of each true class that goes to each predicted one.

    Args:
        matrix (np.ndarray): ``(C, C)`` counts, rows are true classes.
        names (Sequence[str]): C names.
        title (str): Title of the figure.

    Returns:
        Figure: Up to 25 classes have per cent in the cells and names on both
        sides; with more, the predicted classes have their numbers only.
    """
    num_classes = len(matrix)
    written = num_classes <= _MAX_WRITTEN
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(4, num_classes * (0.42 if written else 0.13))
    font = 8 if written else 6
    fig = Figure(figsize=(side + 2.6, side + 1.4), layout='constrained')
    ax = fig.add_subplot()
    # The root lifts rare confusions out of the white.
    image = ax.imshow(share, cmap='Blues', norm=PowerNorm(0.5, 0, 1))
    places = np.arange(num_classes)
    # Numbers and names on the left, so that a column's number can be read.
    ax.set_yticks(
        places, [f'{name}  {i}' for i, name in enumerate(names)],
        fontsize=font)
    below = [f'{i}  {name}' for i, name in enumerate(names)]
    ax.set_xticks(
        places, below if written else places, fontsize=font, rotation=90)
    ax.set_ylabel('true class')
    ax.set_xlabel('predicted class')
    if written:
        for true, predicted in zip(*np.nonzero(matrix)):
            dark = share[true, predicted] > 0.3
            ax.text(
                predicted,
                true,
                f'{100 * share[true, predicted]:.0f}',
                ha='center',
                va='center',
                fontsize=8,
                c='white' if dark else 'black')
    else:
        # Lines that the eye can follow from a cell to its class.
        for place in places[::10]:
            ax.axhline(place - 0.5, c=FAINT, lw=0.4)
            ax.axvline(place - 0.5, c=FAINT, lw=0.4)
    fig.colorbar(
        image, ax=ax, label='share of the true class', shrink=0.6, pad=0.01)
    ax.set_title(title)
    return fig


def draw_per_class_accuracy(accuracy: np.ndarray,
                            counts: np.ndarray,
                            names: Sequence[str],
                            title: str = '') -> Figure:
    """Draw a bar for each class that has clips, the worst on top.

    Args:
        accuracy (np.ndarray): ``(C, )``, 0 to 1, NaN for no clips.
        counts (np.ndarray): ``(C, )`` clips of each class.
        names (Sequence[str]): C names.
        title (str): Title of the figure.
    """
    order = np.argsort(accuracy, kind='stable')  # NaN comes last
    order = order[~np.isnan(accuracy[order])]
    num_columns = -(-len(order) // _MAX_BARS)
    columns = np.array_split(order, num_columns)
    mean = accuracy[order].mean()
    height = 0.2 * len(columns[0]) + 1.2
    fig = Figure(figsize=(6.5 * num_columns, height), layout='constrained')
    for ax, classes in zip(np.ravel(fig.subplots(1, num_columns)), columns):
        places = np.arange(len(classes))
        bars = ax.barh(places, accuracy[classes], color=RIGHT)
        ax.bar_label(
            bars, [f'{100 * a:.0f}' for a in accuracy[classes]],
            fontsize=7,
            padding=2)
        ax.set_yticks(
            places, [f'{names[i]} ({counts[i]})' for i in classes], fontsize=7)
        ax.set_ylim(len(columns[0]) - 0.4, -0.6)
        ax.set_xlim(0, 1.08)
        ax.axvline(mean, c=WRONG, lw=1, ls='--')
        ax.set_xlabel('accuracy')
        ax.spines[['top', 'right']].set_visible(False)
    fig.suptitle(
        f'{title}\nmean of the classes {mean:.1%} (dashed)'.strip(),
        fontsize=10)
    return fig


def draw_reliability(calibration: Calibration, title: str = '') -> Figure:
    """Draw accuracy over confidence, and how many clips each bin holds.

    Args:
        calibration (Calibration): The bins.
        title (str): Title of the figure.
    """
    num_bins = len(calibration.counts)
    left = np.arange(num_bins) / num_bins
    style = dict(width=1 / num_bins, align='edge', edgecolor='white')
    full = calibration.counts > 0
    fig = Figure(figsize=(4.6, 5.8), layout='constrained')
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.bar(
        left[full],
        calibration.accuracy[full],
        color=RIGHT,
        label='accuracy',
        **style)
    above.plot(
        calibration.confidence[full],
        calibration.accuracy[full],
        'o',
        c=WRONG,
        ms=4,
        label='at the mean confidence')
    above.plot([0, 1], [0, 1], c='black', lw=1, ls='--', label='calibrated')
    above.set_ylabel('accuracy')
    above.set_ylim(0, 1)
    above.set_xlim(0, 1)
    above.set_title(
        f'{title}\nexpected calibration error '
        f'{calibration.error:.1%}'.strip(),
        fontsize=10)
    below.bar(left, calibration.counts, color=FAINT, **style)
    below.set_xlabel('confidence')
    below.set_ylabel('clips')
    fig.legend(loc='outside lower center', ncols=3, fontsize=8)
    return fig
