# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""MMEngine's visualizer for skeletons."""
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from mmengine.dist import master_only
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from skel_ssl.datasets.layouts import LayoutLike
from skel_ssl.registry import VISUALIZERS

from .animations import SUFFIXES, check_format, save_animation
from .contact_sheet import draw_contact_sheet
from .files import save_figure
from .samples import (
    BodyView,
    class_name,
    read_clip,
    sample_scenes,
    top_classes,
)
from .skeletons import Scene

RIGHT, WRONG = '#1a7f37', '#c62f3d'  # colours of a title
_DPI = 110


@VISUALIZERS.register_module()
class SkeletonVisualizer(Visualizer):
    """Draws clips and what a model made of them.

    It takes the place of MMAction2's ``ActionVisualizer``, which draws the
    frames of videos: ``visualizer=dict(type='SkeletonVisualizer',
    vis_backends=[dict(type='LocalVisBackend')])``.

    Args:
        name (str): Name of the instance.
        layout (str | dict | SkeletonLayout, optional): The body, see
            :func:`get_layout`. None: the preset with as many joints.
        num_coordinates (int, optional): See :class:`BodyView`.
        view (str): ``'front'``, ``'side'``, ``'top'`` or ``'3d'``.
        up (str, optional): The axis that points up, ``'+z'`` and the like;
            None: guessed from each clip.
        num_poses (int): Moments in a row of a picture.
        fps (float): Pictures a second of an animation.
        **kwargs: Arguments of MMEngine's ``Visualizer``.
    """

    def __init__(self,
                 name: str = 'visualizer',
                 layout: Optional[LayoutLike] = None,
                 num_coordinates: Optional[int] = None,
                 view: str = 'front',
                 up: Optional[str] = None,
                 num_poses: int = 8,
                 fps: float = 15.,
                 **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.body_view = BodyView(layout, num_coordinates, view, up)
        self.num_poses = num_poses
        self.fps = fps

    @master_only
    def add_datasample(self,
                       name: str,
                       clip: Any,
                       data_sample: Optional[BaseDataElement] = None,
                       draw_gt: bool = True,
                       draw_pred: bool = True,
                       scenes: Sequence[Scene] = (),
                       out_file: Optional[Union[str, os.PathLike]] = None,
                       step: int = 0) -> None:
        """Draw a clip, see :func:`sample_scenes`.

        Classes are named if ``dataset_meta`` has ``'classes'``.

        Args:
            name (str): Name of the picture, and its title.
            clip (Tensor | np.ndarray): ``(num_clips, M, T, V, C)`` or ``(M,
                T, V, C)``, with or without scores. Of several clips the
                first one is drawn.
            data_sample (BaseDataElement, optional): What is known of it.
            draw_gt (bool): Whether to write the true class.
            draw_pred (bool): Whether to draw what the model made of it.
            scenes (Sequence[Scene]): More scenes to add.
            out_file (str | os.PathLike, optional): A ``.png``, ``.gif`` or
                ``.mp4``, instead of the backends; its folder is made.
            step (int): Step of the training, for the backends.

        Raises:
            ValueError: If the clip cannot be drawn, or there is no way to
                write such a file.
        """
        sample = data_sample or BaseDataElement()
        best = []
        if draw_pred:
            best = top_classes(sample, self._classes)
            found = sample_scenes(read_clip(clip, self.body_view), sample)
        else:
            found = [read_clip(clip, self.body_view).scene(title='input')]
        title, colour = self._title(name, sample if draw_gt else None, best)
        if best:
            lines = [f'{share:.0%}  {label}' for label, share in best]
            found[0] = replace(found[0], details='\n'.join(lines))
        self.add_scenes(name, [*found, *scenes], title, colour, out_file,
                        step)

    @master_only
    def add_scenes(self,
                   name: str,
                   scenes: Sequence[Scene],
                   title: str = '',
                   colour: str = 'black',
                   out_file: Optional[Union[str, os.PathLike]] = None,
                   step: int = 0) -> None:
        """Draw scenes into a file, or into the backends.

        Args:
            name (str): Name of the picture in the backends.
            scenes (Sequence[Scene]): A row each, or a panel.
            title (str): Title above.
            colour (str): Colour of the title.
            out_file (str | os.PathLike, optional): See
                :meth:`add_datasample`.
            step (int): See :meth:`add_datasample`.

        Raises:
            ValueError: If there is no way to write such a file.
        """
        path = None if out_file is None else Path(out_file)
        if path is not None:
            check_picture(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        if path is not None and path.suffix in SUFFIXES:
            save_animation(path, scenes, title, fps=self.fps,
                           title_colour=colour)
            return
        figure = draw_contact_sheet(scenes, title, self.num_poses, colour)
        if path is not None:
            save_figure(path, figure, _DPI)
            return
        figure.set_dpi(_DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = np.asarray(canvas.buffer_rgba())[..., :3]
        self.add_image(name, np.ascontiguousarray(image), step)

    @property
    def _classes(self) -> Sequence[str]:
        return (self.dataset_meta or {}).get('classes') or ()

    def _title(self, name: str, truth: Optional[BaseDataElement],
               best: List[Tuple[str, float]]) -> Tuple[str, str]:
        """Title and its colour."""
        label = None
        if truth is not None and 'gt_label' in truth:
            label = class_name(int(truth.gt_label.flatten()[0]),
                               self._classes)
        if not best:
            return (name if label is None else f'{name}: {label}'), 'black'
        found, share = best[0]
        title = f'{name}: predicted {found} ({share:.0%})'
        if label is None:
            return title, 'black'
        right = found == label
        return (f'{title}, {"right" if right else f"true: {label}"}',
                RIGHT if right else WRONG)


def check_picture(path: Path) -> None:
    """Raise if a picture cannot be written to such a file.

    Raises:
        ValueError: If the suffix is none of ``.png``, ``.gif`` and ``.mp4``,
            or see :func:`check_format`.
    """
    if path.suffix in SUFFIXES:
        check_format(path.suffix)
    elif path.suffix != '.png':
        raise ValueError(f'{path} must end in .png, .gif or .mp4')
