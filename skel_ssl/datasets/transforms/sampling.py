# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from typing import Any, Dict

import numpy as np
from mmaction.datasets.transforms import UniformSampleFrames
from torch import Tensor

from skel_ssl.registry import TRANSFORMS

from ..person_batches.plan import FramePlan, uniform_frames
from ..person_batches.random_numbers import Draw
from .base import PoseTransform


@TRANSFORMS.register_module()
class PoseUniformSampleFrames(PoseTransform, UniformSampleFrames):
    """MMAction2's ``UniformSampleFrames`` without its loop over the frames.

    It draws the same random numbers and chooses the same frames. MMAction2
    also looks, frame by frame and person by person, for frames in which
    somebody comes or goes, and then replaces their indices by themselves:
    that changes nothing, and takes most of its time.

    Required Keys:

        - keypoint
        - total_frames
        - start_index (optional)

    Added Keys:

        - frame_inds
        - frame_interval
        - num_clips
        - clip_len

    Args:
        clip_len (int): Number of frames to choose.
        num_clips (int): How often to choose them.
        test_mode (bool): Whether to draw from NumPy's global generator
            seeded with ``seed``.
        seed (int): See ``test_mode``.
    """

    num_coordinates = None
    keeps_scores = True
    batch_form = 'frames'

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Choose the frames of a clip; ``PoseDecode`` takes them.

        Args:
            results (dict): The clip; ``keypoint`` is (M, T, V, C).

        Returns:
            dict: The same dict; ``frame_inds`` is
            (num_clips * clip_len, ) int32.

        Raises:
            ValueError: See :meth:`read_keypoint`; also if ``total_frames`` is
                not T.
        """
        frames = self.read_keypoint(results).shape[1]
        if results['total_frames'] != frames:
            raise ValueError(
                f"{self.where(results)}: 'total_frames' is "
                f"{results['total_frames']}, but 'keypoint' has {frames} "
                'frames')
        choose = (
            self._get_test_clips if self.test_mode else self._get_train_clips)
        inds = choose(frames, self.clip_len) % frames
        inds += results.get('start_index', 0)
        results.update(
            frame_inds=inds.astype(np.int32),
            clip_len=self.clip_len,
            frame_interval=None,
            num_clips=self.num_clips)
        return results

    def check_batch_form(self) -> None:
        if self.test_mode or self.num_clips > 1:
            raise ValueError(
                f'test_mode={self.test_mode}, num_clips={self.num_clips}: a '
                'person of a batch is one clip, drawn as in training')

    def plan_frames(self, lengths: Tensor, draw: Draw) -> FramePlan:
        uniform = draw.uniform('frames', self.clip_len + 1)
        return uniform_frames(lengths, self.clip_len, uniform)
