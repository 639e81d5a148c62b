# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Animations of bodies: GIF, and MP4 where there is ffmpeg."""
import os
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple, Union

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from skel_ssl.utils.files import replacing

from .contact_sheet import SCALE, write_label, write_title
from .skeletons import Scene, draw_moment, legend_handles, set_up_axes

SUFFIXES = ('.gif', '.mp4')
# Inches.
_CELL, _ONLY_CELL, _LABEL, _GAP = 2.3, 4.4, 0.62, 0.14
_TOP, _BOTTOM = 0.4, 0.45  # for title and legend
_COLOURS = 128  # of a GIF


def can_write_mp4() -> bool:
    """Whether the program ffmpeg is there."""
    return FFMpegWriter.isAvailable()


def check_format(suffix: str) -> None:
    """Raise if files of this kind cannot be written.

    Args:
        suffix (str): ``'.gif'`` or ``'.mp4'``.

    Raises:
        ValueError: If it is another one, or ffmpeg is needed but not there.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f'an animation ends in one of {SUFFIXES}, not in '
                         f'{suffix!r}')
    if suffix == '.mp4' and not can_write_mp4():
        raise ValueError(
            'MP4 needs the program ffmpeg, which is not on the PATH: install '
            'it ("apt install ffmpeg", "conda install ffmpeg" or "brew '
            'install ffmpeg"), or write a GIF instead')


def save_animation(path: Union[str, os.PathLike],
                   scenes: Sequence[Scene],
                   title: str = '',
                   num_frames: int = 100,
                   fps: float = 15.,
                   dpi: int = 80,
                   title_colour: str = 'black') -> int:
    """Draw scenes side by side along time.

    Each scene runs from its first to its last frame in the same time. One
    picture is drawn at a time: an MP4 takes it at once, of a GIF a byte a
    pixel is kept until the end.

    Args:
        path (str | os.PathLike): A ``.gif`` or ``.mp4``; its folder must
            exist.
        scenes (Sequence[Scene]): One or more, a panel each.
        title (str): Title above.
        num_frames (int): The most pictures; the longest scene has one a
            frame if it has no more than that.
        fps (float): Pictures a second.
        dpi (int): Pixels an inch.
        title_colour (str): Colour of the title.

    Returns:
        int: The number of pictures.

    Raises:
        ValueError: If there is no scene, a number is not above 0, or see
            :func:`check_format`.
    """
    path = Path(path)
    check_format(path.suffix)
    if not scenes or num_frames < 1 or fps <= 0 or dpi < 1:
        raise ValueError(
            f'{len(scenes)} scenes, num_frames={num_frames}, fps={fps} and '
            f'dpi={dpi}: all must be above 0')
    count = min(num_frames, max(scene.num_frames for scene in scenes))
    stage = _Stage(scenes, title, dpi, title_colour)
    with replacing(path) as temporary:
        if path.suffix == '.gif':
            _write_gif(temporary, stage.play(count), fps)
        else:
            writer = FFMpegWriter(fps)
            with writer.saving(stage.figure, temporary, dpi):
                for _ in stage.play(count):
                    writer.grab_frame()
    return count


def _write_gif(path: Path, pictures: Iterator[Image.Image],
               fps: float) -> None:
    pictures = (picture.quantize(_COLOURS, dither=Image.Dither.NONE)
                for picture in pictures)
    next(pictures).save(
        path, 'GIF', save_all=True, append_images=pictures,
        duration=round(1000 / fps), loop=0)


def panel_grid(num_panels: int) -> Tuple[int, int]:
    """Rows and columns for panels, somewhat wider than high."""
    columns = min(num_panels, int(np.ceil(np.sqrt(1.4 * num_panels))))
    rows = -(-num_panels // columns)
    return rows, -(-num_panels // rows)


class _Stage:
    """A figure with one panel a scene, of which only the bodies change."""

    def __init__(self, scenes: Sequence[Scene], title: str, dpi: int,
                 title_colour: str) -> None:
        rows, columns = panel_grid(len(scenes))
        cell = _CELL if len(scenes) > 1 else _ONLY_CELL
        # Room for title and legend; videos need even numbers of pixels.
        width = max(columns * (cell + _GAP) + _GAP, 5)
        label = _LABEL + SCALE * any(s.heat is not None for s in scenes)
        height = _TOP + rows * (cell + label + _GAP) + _BOTTOM
        width, height = (2 * round(x * dpi / 2) / dpi for x in (width, height))
        self.scenes = scenes
        self.figure = Figure(figsize=(width, height), dpi=dpi)
        self.canvas = FigureCanvasAgg(self.figure)
        write_title(self.figure, title, _TOP, title_colour)
        self.panels: List[Axes] = []
        for i, scene in enumerate(scenes):
            row, column = divmod(i, columns)
            left = _GAP + column * (cell + _GAP)
            top = height - _TOP - row * (cell + label + _GAP)
            write_label(
                self.figure.add_axes(
                    (left / width, (top - label) / height, cell / width,
                     label / height)), scene, label)
            ax = self.figure.add_axes(
                (left / width, (top - label - cell) / height, cell / width,
                 cell / height))
            set_up_axes(ax, scene)
            self.panels.append(ax)
        self.figure.legend(
            handles=legend_handles(list(scenes)), fontsize=7, frameon=False,
            loc='lower center', ncols=max(2, int(width / 1.3)))

    def play(self, num_frames: int) -> Iterator[Image.Image]:
        """Draw one picture after the other, and give each."""
        shown: List[Artist] = []
        for share in np.linspace(0, 1, num_frames):
            for artist in shown:
                artist.remove()
            shown = []
            for ax, scene in zip(self.panels, self.scenes):
                frame = round(share * (scene.num_frames - 1))
                shown += draw_moment(ax, scene, frame, 1.2)
                shown.append(
                    ax.text(.03, .03, f'{frame}', transform=ax.transAxes,
                            fontsize=7, c='#7d8590'))
            self.canvas.draw()
            yield Image.fromarray(
                np.asarray(self.canvas.buffer_rgba())).convert('RGB')
