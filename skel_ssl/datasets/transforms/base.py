# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from typing import Any, Dict, Optional

import numpy as np
from mmcv.transforms import BaseTransform
from torch import Tensor

from ..layouts import SkeletonLayout
from ..person_batches.plan import FramePlan
from ..person_batches.random_numbers import Draw

# Where a clip brings along what was done to it when its store was written: a
# tuple of PoseTransform.offline_settings, the first to be done first.
DONE_OFFLINE = 'done_offline'


class PoseTransform(BaseTransform):
    """What the transforms of keypoints share: a look at what comes in.

    The keypoints of a clip are (M, T, V, C): persons, frames, joints,
    coordinates. The array that comes in is never changed, another one takes
    its place. Attributes that do not begin with an underscore are the
    arguments, and are shown by ``repr``.
    """

    # number of coordinates that the transform needs, None: any
    num_coordinates: Optional[int] = 3

    # whether a joint keeps its place, so that its score still belongs to it
    keeps_scores = False

    # What a batch of persons asks of the transform. 'frames': which frames to
    # take, see plan_frames. 'joints' and 'motion': new keypoints, see
    # on_batch; 'joints' if every frame is mapped alike, by a linear map, so
    # that it makes no difference whether frames are chosen (and interpolated)
    # before or afterwards. None: it works clip by clip alone.
    batch_form: Optional[str] = None

    def read_keypoint(self, results: Dict[str, Any]) -> np.ndarray:
        """Take the keypoints of a clip and see that they fit.

        Args:
            results (dict): The clip.

        Returns:
            np.ndarray: Shape (M, T, V, C), as it is in ``results``.

        Raises:
            ValueError: If there are none, their shape is not four-dimensional
                or empty or has the wrong number of coordinates, or there
                are scores which would no longer belong to the keypoints, or
                do not now: their shape must be (M, T, V).
        """
        if 'keypoint' not in results:
            raise ValueError(
                f"{self.where(results)}: there is no 'keypoint', only "
                f'{sorted(results)}')
        keypoint = results['keypoint']
        channels = self.num_coordinates
        if (keypoint.ndim != 4 or 0 in keypoint.shape
                or channels not in (None, keypoint.shape[3])):
            raise ValueError(
                f"{self.where(results)}: 'keypoint' has shape "
                f'{keypoint.shape}; it must be (persons, frames >= 1, joints, '
                f'{channels or "coordinates"}), as before FormatGCNInput')
        if 'keypoint_score' in results:
            self._check_scores(results)
        return keypoint

    def _check_scores(self, results: Dict[str, Any]) -> None:
        if not self.keeps_scores:
            raise ValueError(
                f"{self.where(results)}: 'keypoint_score' would no longer "
                'belong to the keypoints; delete it from the annotations')
        shape, expected = (np.shape(results['keypoint_score']),
                           results['keypoint'].shape[:3])
        if shape != expected:
            raise ValueError(
                f"{self.where(results)}: 'keypoint_score' has shape {shape}; "
                f"to belong to 'keypoint' it must be {expected}")

    def offline_settings(self) -> Optional[Dict[str, Any]]:
        """What the transform does to every clip, whatever its wording.

        Two transforms with the same settings do the same.

        Returns:
            dict, optional: Plain data, with ``type``. None if a ragged store
            cannot do it once and for all, since the result is random or is
            not meant to be kept.
        """
        return None

    def done_offline(self, results: Dict[str, Any]) -> bool:
        """Whether the transform was done when the clip's store was written.

        The note of it is then taken off the clip.

        Args:
            results (dict): The clip.

        Raises:
            ValueError: If the store was written with other settings.
        """
        done = results.pop(DONE_OFFLINE, ())
        if not done:
            return False
        settings = self.offline_settings()
        if done[0] != settings:
            raise ValueError(
                f'{self.where(results)}: the store was normalised with '
                f'{done[0]}, but the pipeline asks for {settings}; make a '
                'store with this pipeline, see tools/data/make_store.py')
        if len(done) > 1:
            results[DONE_OFFLINE] = done[1:]
        return True

    def check_batch_form(self) -> None:
        """Raise a ValueError if these arguments have no batch form."""

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        """Do to a batch of persons what :meth:`transform` does to a clip.

        Args:
            persons (Tensor): ``(P, T, V, C)`` float32, on any device. It may
                be changed.
            draw (Draw): The random numbers of the persons.

        Returns:
            Tensor: ``(P, T, V, C')``.
        """
        raise NotImplementedError(
            f'{type(self).__name__} with batch_form={self.batch_form!r} must '
            'implement on_batch')

    def count_frames(self, keypoint: np.ndarray) -> int:
        """How many frames of a clip (M, T, V, C) there are to choose from.

        For ``batch_form = 'frames'``.
        """
        return keypoint.shape[1]

    def plan_frames(self, lengths: Tensor, draw: Draw) -> FramePlan:
        """Choose the frames of a batch of persons.

        For ``batch_form = 'frames'``.

        Args:
            lengths (Tensor): ``(P,)`` int64, see :meth:`count_frames`.
            draw (Draw): The random numbers of the persons.

        Returns:
            FramePlan: As many frames for each person.
        """
        raise NotImplementedError(
            f"{type(self).__name__} with batch_form='frames' must implement "
            'plan_frames')

    @staticmethod
    def valid_joints(results: Dict[str, Any]) -> np.ndarray:
        """Which joints were seen.

        Args:
            results (dict): The clip.

        Returns:
            np.ndarray: Shape (M, T, V), bool: True where the score is above
            0; without scores, where the coordinates are not all exactly 0.
        """
        if 'keypoint_score' in results:
            return results['keypoint_score'] > 0
        return results['keypoint'].any(-1)

    def check_joints(self, results: Dict[str, Any],
                     layout: SkeletonLayout) -> None:
        """Raise a ValueError if a clip is not of the transform's layout."""
        num_joints = results['keypoint'].shape[2]
        if num_joints != layout.num_joints:
            raise ValueError(
                f'{self.where(results)}: the clip has {num_joints} joints, '
                f'layout {layout.name!r} has {layout.num_joints}; give the '
                'transform the layout= of the data')

    def where(self, results: Dict[str, Any]) -> str:
        """The transform and the clip, to begin an error with."""
        clip = results.get('frame_dir', results.get('filename', '?'))
        return f'{type(self).__name__}, clip {clip!r}'

    def __repr__(self) -> str:
        shown = ', '.join(f'{key}={value!r}'
                          for key, value in vars(self).items()
                          if not key.startswith('_'))
        return f'{type(self).__name__}({shown})'
