# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from numbers import Real
from typing import Any, Dict, Tuple

import numpy as np
from mmaction.datasets.transforms import PreNormalize2D

from skel_ssl.registry import TRANSFORMS

from .base import PoseTransform

_MOST_PIXELS = 1e9


@TRANSFORMS.register_module()
class PosePreNormalize2D(PoseTransform, PreNormalize2D):
    """MMAction2's ``PreNormalize2D`` that knows who is absent.

    ``x <- (x - w / 2) / (w / 2)`` and the same for y and h, so that the image
    reaches from -1 to 1. There a person that is absent from a frame, which is
    (0, 0) in pixels, becomes (-1, -1), as if all its joints were in a corner.
    Here it becomes zero, as the persons are that ``FormatGCNInput`` adds.

    A person is absent from a frame if no joint was seen there, see
    :meth:`valid_joints`. A joint that was not seen of a person that is there
    is treated as any other.

    Required Keys:

        - keypoint
        - keypoint_score (optional)
        - img_shape (optional)

    Modified Keys:

        - keypoint

    Args:
        img_shape (tuple[int, int]): Height and width of the image in pixels,
            for clips without an ``img_shape`` of their own.

    Raises:
        ValueError: If the sizes are not two numbers above 0.
    """

    num_coordinates = 2
    keeps_scores = True

    def __init__(self, img_shape: Tuple[int, int] = (1080, 1920)) -> None:
        super().__init__(img_shape)
        _check_sizes(img_shape, type(self).__name__)

    def offline_settings(self) -> Dict[str, Any]:
        return dict(
            type=type(self).__name__, img_shape=[*map(float, self.img_shape)])

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Normalise a clip; one from a store is done already.

        Args:
            results (dict): The clip; ``keypoint`` is (M, T, V, 2) in pixels.

        Returns:
            dict: The same dict; ``keypoint`` is float32.

        Raises:
            ValueError: See :meth:`read_keypoint`; also if the clip's
                ``img_shape`` is not two numbers above 0; see also
                :meth:`done_offline`.
        """
        if self.done_offline(results):
            return results
        keypoint = self.read_keypoint(results)
        if 'img_shape' in results:
            _check_sizes(results['img_shape'], self.where(results))
        absent = ~self.valid_joints(results).any(-1)
        results['keypoint'] = keypoint.astype(np.float32)  # a copy
        PreNormalize2D.transform(self, results)
        results['keypoint'][absent] = 0
        return results


def _check_sizes(img_shape: Tuple[int, int], where: str) -> None:
    sizes = img_shape
    if isinstance(sizes, np.ndarray):
        sizes = sizes.tolist()
    if not isinstance(sizes, (tuple, list)) or len(sizes) != 2 or not all(
            isinstance(size, Real) and 0 < size < _MOST_PIXELS
            for size in sizes):
        raise ValueError(
            f'{where}: img_shape={img_shape!r} must be (height, width) in '
            'pixels, both above 0')
