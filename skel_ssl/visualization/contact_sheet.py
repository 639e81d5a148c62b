# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Contact sheets: a row a clip or a step, a column a moment."""
import textwrap
from typing import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .skeletons import Scene, draw_moment, legend_handles, set_up_axes

# Inches.
_LABEL, _GAP = 2.2, 0.06
_HEIGHT = 1.5  # of a row
_NARROWEST, _WIDEST = 0.6, 1.8  # moments, as shares of the height
_LINE = 0.13  # of a label
SCALE = 0.42  # of the colours of a heat, below the label
_CAPTION = 0.16  # above a row, for the numbers of the frames
_TOP, _BOTTOM = 0.45, 0.4  # for title and a legend of one row
_ENTRY, _LEGEND_ROW = 1.3, 0.17  # of the legend


def draw_contact_sheet(scenes: Sequence[Scene],
                       title: str = '',
                       num_poses: int = 8,
                       title_colour: str = 'black') -> Figure:
    """Draw scenes below each other, each at moments evenly spread.

    All moments of a row have the same limits, so that motion is seen.

    Args:
        scenes (Sequence[Scene]): One or more, a row each.
        title (str): Title of the figure.
        num_poses (int): Moments of each, fewer of a scene with fewer frames.
        title_colour (str): Colour of the title.

    Returns:
        Figure: In each row first the axes of the label, then those of the
        moments.

    Raises:
        ValueError: If there is no scene or no moment to draw.
    """
    if not scenes or num_poses < 1:
        raise ValueError(f'{len(scenes)} scenes with num_poses={num_poses}: '
                         'give one or more of both')
    cell = _HEIGHT * float(np.clip(
        max(map(_shape, scenes)), _NARROWEST, _WIDEST))
    width = _LABEL + num_poses * (cell + _GAP) + 0.1
    handles = legend_handles(list(scenes))
    columns = max(int(width / _ENTRY), 1)
    height = (_TOP + len(scenes) * (_CAPTION + _HEIGHT + _GAP) + _BOTTOM +
              max(len(handles) - 1, 0) // columns * _LEGEND_ROW)
    fig = Figure(figsize=(width, height))

    def add_axes(left: float, bottom: float, wide: float) -> Axes:
        return fig.add_axes((left / width, bottom / height, wide / width,
                             _HEIGHT / height))

    write_title(fig, title, _TOP, title_colour)
    for row, scene in enumerate(scenes):
        bottom = height - _TOP - (row + 1) * (_CAPTION + _HEIGHT + _GAP) + _GAP
        write_label(add_axes(0.1, bottom, _LABEL - 0.2), scene, _HEIGHT)
        for column, frame in enumerate(_moments(scene, num_poses)):
            ax = add_axes(_LABEL + column * (cell + _GAP), bottom, cell)
            set_up_axes(ax, scene)
            draw_moment(ax, scene, frame)
            if scene.seen.any():
                ax.set_title(f'frame {frame}', fontsize=6.5, pad=2,
                             c='#7d8590')
    fig.legend(handles=handles, ncols=columns, fontsize=8,
               loc='lower center', frameon=False)
    return fig


def _shape(scene: Scene) -> float:
    """Width of what is drawn, as a share of its height."""
    left, bottom, right, top = scene.limits
    return (right - left) / (top - bottom)


def _moments(scene: Scene, num_poses: int) -> Sequence[int]:
    """Frames evenly spread, one of those with a mark among them."""
    count = min(num_poses, scene.num_frames)
    moments = np.linspace(0, scene.num_frames - 1, count).round().astype(int)
    if scene.marks is not None:
        marked = np.flatnonzero(scene.marks.any((0, 2)))
        if len(marked) and not np.isin(moments, marked).any():
            middle = marked[len(marked) // 2]
            moments[np.abs(moments - middle).argmin()] = middle
    return moments.tolist()


def write_title(fig: Figure,
                title: str,
                room: float,
                colour: str = 'black') -> None:
    """Write a title above all, in two lines if it must be.

    Args:
        fig (Figure): Where to.
        title (str): The title.
        room (float): Height for it in inches.
        colour (str): Its colour.
    """
    width, height = fig.get_size_inches()
    lines = textwrap.wrap(title, int(width / 0.1), max_lines=2,
                          placeholder=' ...')
    fig.text(0.1 / width, 1 - 0.5 * room / height, '\n'.join(lines),
             fontsize=11 if len(lines) < 2 else 9, va='center',
             fontweight='bold', c=colour)


def write_label(ax: Axes, scene: Scene, height: float) -> None:
    """Write title, details and scale of a scene into axes of their own.

    Args:
        ax (Axes): Where to, some two inches wide.
        scene (Scene): The scene.
        height (float): Height of the axes in inches; what does not fit in
            is left out.
    """
    ax.axis('off')
    title = textwrap.wrap(scene.title, 26, max_lines=2, placeholder=' ...')
    lines = [part for text in scene.details.splitlines()
             for part in textwrap.wrap(text, 34)]
    scale = 0. if scene.heat is None else SCALE
    room = max(int((height - scale) / _LINE) - len(title), 1)
    if len(lines) > room:
        lines = [*lines[:room - 1], f'{lines[room - 1][:30]} ...']
    ax.text(0, 1, '\n'.join(title), fontsize=8.5, fontweight='bold', va='top')
    ax.text(0, 1 - (len(title) + 0.3) * _LINE / height, '\n'.join(lines),
            fontsize=7, va='top', c='#57606a')
    if scene.heat is not None:
        cax = ax.inset_axes((0.02, 0.24 / height, 0.85, 0.08 / height))
        bar = ax.figure.colorbar(scene.heat.scale, cax=cax,
                                 orientation='horizontal')
        bar.ax.tick_params(labelsize=6, length=2, pad=1)
        bar.ax.locator_params(nbins=4)
        bar.set_label(scene.heat.label, fontsize=6.5, labelpad=1)
        bar.outline.set_visible(False)
