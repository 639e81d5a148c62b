# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A picture of a clip and what was predicted for it."""
import re
from pathlib import Path
from typing import Any, Mapping, Optional

from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.visualization import (
    Scene,
    draw_contact_sheet,
    make_scene,
    save_animation,
)
from skel_ssl.visualization.cameras import guess_up
from skel_ssl.visualization.files import save_figure


def save_picture(folder: Path,
                 index: int,
                 clip: Mapping[str, Any],
                 result: Mapping[str, Any],
                 layout: Optional[SkeletonLayout],
                 kind: str = 'png') -> Path:
    """Draw a clip, titled with its prediction.

    Args:
        folder (Path): Where to; it must exist.
        index (int): Place of the clip among the inputs.
        clip (Mapping): The clip as it came in.
        result (Mapping): The prediction for it.
        layout (SkeletonLayout, optional): The body.
        kind (str): ``'png'``, a contact sheet, or ``'gif'``, an animation.

    Returns:
        Path: The picture.
    """
    name = re.sub(r'[^\w.-]', '_', f'{index:05}_{clip["frame_dir"]}')
    path = folder / f'{name}.{kind}'
    title = _title(result)
    scene = _scene(clip, result, layout)
    if kind == 'gif':
        save_animation(path, [scene], title)
    else:
        save_figure(path, draw_contact_sheet([scene], title))
    return path


def _title(result: Mapping[str, Any]) -> str:
    name = result['pred_name']
    if name is None:
        name = f'class {result["pred_label"]}'
    return f'{name}, {100 * result["pred_score"]:.1f} %'


def _scene(clip: Mapping[str, Any], result: Mapping[str, Any],
           layout: Optional[SkeletonLayout]) -> Scene:
    keypoint, image = clip['keypoint'], None
    if keypoint.shape[-1] == 2 and 'img_shape' in clip:
        height, width = map(float, clip['img_shape'])
        image = (0., 0., width, height)
    up = guess_up([keypoint], layout) if keypoint.shape[-1] == 3 else None
    best = [f'{100 * score:.1f} % {label if name is None else name}'
            for label, name, score in result['topk']]
    return make_scene(
        keypoint,
        layout,
        up=up or '+y',
        scores=clip.get('keypoint_score'),
        image=image,
        title=str(clip['frame_dir']),
        details='\n'.join(best))
