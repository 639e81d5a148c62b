# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a ``.skeleton`` file of NTU RGB+D to an annotation."""
from pathlib import Path
from typing import Any, Dict

from .ntu_persons import denoise_persons, select_persons
from .ntu_skeleton import parse_skeleton
from .ntu_splits import parse_name

CLEANINGS = ('mmaction2', 'denoise')


def read_clip(path: Path,
              cleaning: str,
              repeat_single: bool = False) -> Dict[str, Any]:
    """Make the annotation of a file.

    Args:
        path (Path): The file, named after the clip.
        cleaning (str): ``'mmaction2'``, see :func:`select_persons`, or
            ``'denoise'``, see :func:`denoise_persons`.
        repeat_single (bool): See :func:`denoise_persons`.

    Returns:
        dict: ``frame_dir``, ``label`` (the action from 0), ``total_frames``,
        ``keypoint`` of shape (M, T, 25, 3), float32, metres, and ``setup``,
        ``camera``, ``performer`` from the name.

    Raises:
        BadFileError: If the file cannot be used.
        OSError: If it cannot be read.
    """
    name = parse_name(path.stem)
    bodies = parse_skeleton(path.read_bytes())
    if cleaning == 'mmaction2':
        keypoint = select_persons(bodies)
    else:
        keypoint = denoise_persons(bodies, repeat_single)
    return dict(
        frame_dir=path.stem,
        label=name.action - 1,
        total_frames=keypoint.shape[1],
        keypoint=keypoint,
        setup=name.setup,
        camera=name.camera,
        performer=name.performer)
