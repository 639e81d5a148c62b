# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Joint, bone and motion streams of any body."""
from typing import Any, Dict, Sequence, Union

import numpy as np
import torch
from mmaction.datasets.transforms import GenSkeFeat, JointToBone
from torch import Tensor

from skel_ssl.models.ops.masking import frame_motion
from skel_ssl.registry import TRANSFORMS

from ..layouts import SkeletonLayout, get_layout
from ..person_batches.random_numbers import Draw
from .base import PoseTransform

# joints, bones, and the motion (next frame minus this one) of either
STREAMS = ('j', 'b', 'jm', 'bm')


@TRANSFORMS.register_module()
class PoseGenSkeFeat(PoseTransform, GenSkeFeat):
    """MMAction2's ``GenSkeFeat`` for the body of a layout.

    A bone is a joint minus its parent in the layout; the root's is zero. The
    last frame's motion is zero. On ``'ntu25'`` the result is that of
    ``GenSkeFeat(dataset='nturgb+d')``. Clips that lie one after the other in
    time (``num_clips``) are taken one by one, so there is no motion from one
    to the next; write it behind ``PoseDecode``, or in front of the sampling.

    An absent person (all zero) stays so, and a person that is a copy of
    person 0 stays a copy.

    Required Keys:

        - keypoint
        - num_clips (optional)

    Modified Keys:

        - keypoint

    Args:
        layout (str | dict): The body, see :func:`get_layout`.
        feats (Sequence[str]): The streams, laid side by side along the
            coordinates: ``'j'`` joints, ``'b'`` bones, ``'jm'`` and ``'bm'``
            their motion.

    Raises:
        ValueError: If a stream is unknown or named twice, or there is none.
    """

    num_coordinates = None  # two or three, see read_keypoint

    def __init__(self,
                 layout: Union[str, dict, SkeletonLayout],
                 feats: Sequence[str] = ('j', )) -> None:
        # A string would pass for a list of its letters.
        known = not isinstance(feats, str) and set(feats) <= set(STREAMS)
        if not known or not feats or len(set(feats)) < len(feats):
            raise ValueError(
                f'feats={feats!r} must be a list of one or more of '
                f"{', '.join(map(repr, STREAMS))}, each once, as in "
                "feats=['b']")
        # MMAction2's name for bodies whose third coordinate is no score.
        super().__init__('nturgb+d', list(feats))
        self.layout = layout
        self._body = get_layout(layout)
        for op in self.ops.transforms:
            if isinstance(op, JointToBone):
                op.pairs = tuple(enumerate(self._body.parents))

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Make the streams of a clip.

        Args:
            results (dict): The clip; ``keypoint`` is
                (M, num_clips * T, V, C), C = 2 or 3.

        Returns:
            dict: The same dict; ``keypoint`` is
            (M, num_clips * T, V, C * len(feats)). Bones are float32, joints
            keep their type.

        Raises:
            ValueError: See :meth:`read_keypoint`; also if the clip has not
                the joints of the layout, or its frames are not
                ``num_clips`` times a whole number.
        """
        keypoint = self.read_keypoint(results)
        persons, frames = keypoint.shape[:2]
        num_clips = results.get('num_clips', 1)
        if frames % num_clips:
            raise ValueError(
                f'{self.where(results)}: {frames} frames are not num_clips='
                f'{num_clips} clips of one length; write the transform behind '
                'PoseDecode or in front of the sampling')
        results['keypoint'] = keypoint.reshape(persons * num_clips, -1,
                                               *keypoint.shape[2:])
        results = self.ops(results)
        feats = results['keypoint']
        results['keypoint'] = feats.reshape(persons, frames, *feats.shape[2:])
        return results

    @property
    def batch_form(self) -> str:  # type: ignore[override]
        return 'motion' if {'jm', 'bm'}.intersection(self.feats) else 'joints'

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        if self.feats == ['j']:
            return persons
        streams = dict(
            j=persons, b=persons - persons[:, :, list(self._body.parents)])
        for name in ('j', 'b'):
            if f'{name}m' in self.feats:
                streams[f'{name}m'] = frame_motion(streams[name])
        return torch.cat([streams[name] for name in self.feats], -1)

    def read_keypoint(self, results: Dict[str, Any]) -> np.ndarray:
        keypoint = super().read_keypoint(results)
        self.check_joints(results, self._body)
        if keypoint.shape[3] not in (2, 3):
            raise ValueError(
                f'{self.where(results)}: the joints have {keypoint.shape[3]} '
                'coordinates; streams are made of 2 or 3')
        return keypoint

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(layout={self.layout!r}, '
                f'feats={self.feats!r})')
