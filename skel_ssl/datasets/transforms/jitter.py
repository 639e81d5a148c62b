# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from typing import Any, Dict

import numpy as np
from torch import Tensor

from skel_ssl.registry import TRANSFORMS

from ..person_batches.geometry import box_diagonals
from ..person_batches.random_numbers import Draw
from .base import PoseTransform


def box_diagonal(keypoint: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """How large a person is in each frame.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C), float32 or float64.
        valid (np.ndarray): Shape (M, T, V), bool: the joints that count.

    Returns:
        np.ndarray: Shape (M, T): diagonal of the box around these joints, in
        the unit of the keypoints; 0 where there are none.
    """
    lowest = np.where(valid[..., None], keypoint, np.inf).min(2)
    highest = np.where(valid[..., None], keypoint, -np.inf).max(2)
    return np.linalg.norm(np.maximum(highest - lowest, 0), axis=-1)


@TRANSFORMS.register_module()
class PoseJitter(PoseTransform):
    """Add Gaussian noise to every joint that is there, each time anew.

    A joint that was not seen, see :meth:`valid_joints`, stays as it is. A
    person that equals person 0 everywhere gets the noise of person 0. The
    noise comes from NumPy's global generator.

    Required Keys:

        - keypoint
        - keypoint_score (optional)

    Modified Keys:

        - keypoint

    Args:
        sigma (float): Standard deviation, see ``unit``.
        unit (str): ``'absolute'``: ``sigma`` is in the unit of the keypoints
            (metres in NTU). ``'box'``: it is a share of the diagonal of the
            box around the person's joints in that frame.

    Raises:
        ValueError: If ``sigma`` is negative or there is no such unit.
    """

    num_coordinates = None
    keeps_scores = True
    batch_form = 'motion'  # each frame has noise of its own

    def __init__(self, sigma: float = 0.01, unit: str = 'absolute') -> None:
        if not 0 <= sigma < np.inf:
            raise ValueError(f'sigma={sigma} must be a number of 0 or more')
        if unit not in ('absolute', 'box'):
            raise ValueError(f"unit must be 'absolute' or 'box', not {unit!r}")
        self.sigma = sigma
        self.unit = unit

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add noise to a clip.

        Args:
            results (dict): The clip; ``keypoint`` is (M, T, V, C).

        Returns:
            dict: The same dict; ``keypoint`` is float64 if it was float64,
            float32 if it was float32 or float16.

        Raises:
            ValueError: See :meth:`read_keypoint`.
        """
        keypoint = self.read_keypoint(results)
        dtype = np.result_type(keypoint, np.float32)
        keypoint = keypoint.astype(dtype, copy=False)
        valid = self.valid_joints(results)
        noise = np.random.normal(0, self.sigma, size=keypoint.shape)
        noise *= valid[..., None]
        if self.unit == 'box':
            noise *= box_diagonal(keypoint, valid)[..., None, None]
        copies = (keypoint == keypoint[:1]).all((1, 2, 3))
        noise[copies] = noise[0]
        results['keypoint'] = keypoint + noise.astype(dtype)
        return results

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        valid = (persons != 0).any(-1)
        own = draw.of_persons()  # as in a clip, nobody moves with another
        noise = own.normal('noise', *persons.shape[1:]) * self.sigma
        noise *= valid[..., None]
        if self.unit == 'box':
            noise *= box_diagonals(persons, valid)[..., None, None]
        return persons + noise
