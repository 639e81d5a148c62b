# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""2D poses of a video, if MMPose is there to find them."""
import importlib
from pathlib import Path
from typing import Any, Dict, List, Optional

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from skel_ssl.datasets.layouts import COCO17, SkeletonLayout
from skel_ssl.datasets.sources.errors import BadFileError

SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm')
_MODEL = 'human'  # MMPose's name of its 2D model of the 17 joints of COCO


def read_video(path: Path, layout: Optional[SkeletonLayout],
               max_persons: Optional[int]) -> Dict[str, Any]:
    """Find the poses in a video with MMPose's ``MMPoseInferencer``.

    Nobody is tracked: from frame to frame each of the surest persons goes on
    as who was nearest.

    Args:
        path (Path): The video.
        layout (SkeletonLayout, optional): The body that the model takes.
        max_persons (int, optional): The most persons; None: two.

    Returns:
        dict: An annotation: ``keypoint`` (M, T, 17, 2) in pixels,
        ``keypoint_score`` (M, T, 17), ``img_shape``.

    Raises:
        BadFileError: If the model takes other joints, MMPose is missing, or
            the video cannot be opened or shows nobody.
    """
    if layout is None or layout.joints != COCO17.joints:
        name = 'another one' if layout is None else repr(layout.name)
        raise BadFileError(
            "a video gives 2D poses of layout 'coco17' and the model is made "
            f'for {name}: use a model of 2D poses, such as those of '
            'configs/benchmarks/finetune/skeletonmae_ntu60.py; a 3D model '
            'needs 3D keypoints, from a depth camera or a 3D pose estimator')
    try:
        mmpose = importlib.import_module('mmpose.apis')
    except ModuleNotFoundError as error:
        if str(error.name).split('.')[0] != 'mmpose':
            raise
        raise BadFileError(
            'poses in a video are found by MMPose, which is not installed: '
            '"pip install mmpose", or give keypoints') from None
    height, width = _image_size(path)
    slots = max_persons or 2
    frames = [_surest(found['predictions'][0], slots)
              for found in mmpose.MMPoseInferencer(_MODEL)(str(path))]
    poses = follow(frames, slots)
    if not poses.any():
        raise BadFileError(f'MMPose finds nobody in its {len(frames)} frames')
    return dict(
        keypoint=poses[..., :2],
        keypoint_score=poses[..., 2],
        img_shape=(height, width))


def _image_size(path: Path) -> List[int]:
    video = cv2.VideoCapture(str(path))
    size = [int(video.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT,
                                            cv2.CAP_PROP_FRAME_WIDTH)]
    video.release()
    if min(size) < 1:
        raise BadFileError('it cannot be opened as a video')
    return size


def _surest(instances: List[Dict[str, Any]], number: int) -> np.ndarray:
    """Joints and scores of a frame's surest persons, (n, 17, 3)."""
    persons = [
        np.column_stack([person['keypoints'], person['keypoint_scores']])
        for person in instances
    ]
    persons.sort(key=lambda person: -person[:, 2].mean())
    shape = (-1, COCO17.num_joints, 3)
    return np.array(persons[:number], np.float32).reshape(shape)


def follow(frames: List[np.ndarray], num_slots: int) -> np.ndarray:
    """Put the persons of each frame where the nearest ones were before.

    Args:
        frames (list[np.ndarray]): T frames, (n, V, 3) each, n at most
            ``num_slots``.
        num_slots (int): M.

    Returns:
        np.ndarray: (M, T, V, 3) float32, zero where nobody is.
    """
    poses = np.zeros((num_slots, len(frames), COCO17.num_joints, 3),
                     np.float32)
    places = np.full((num_slots, 2), np.nan)
    for t, persons in enumerate(frames):
        centres = persons[..., :2].mean(1)
        distances = np.linalg.norm(centres[:, None] - places, axis=-1)
        # A slot that nobody had yet is further away than any place.
        rows, slots = linear_sum_assignment(np.nan_to_num(distances, nan=1e9))
        poses[slots, t] = persons[rows]
        places[slots] = centres[rows]
    return poses
