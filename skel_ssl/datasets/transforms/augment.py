# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Random transforms of whole clips.

They draw from NumPy's global generator, as MMAction2's transforms do. One draw
serves a whole clip, so persons and frames keep their places to each other;
an absent person (all zero) and a joint that was not seen stay exactly zero,
and a person that is a copy of person 0 stays a copy.
"""
from abc import ABCMeta, abstractmethod
from typing import Any, Dict, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from skel_ssl.registry import TRANSFORMS

from ..layouts import LayoutLike, get_layout
from ..person_batches import geometry as batched
from ..person_batches import plan
from ..person_batches.random_numbers import Draw
from . import geometry
from .base import PoseTransform

Limits = Union[float, Sequence[float]]


def _per_axis(name: str, limits: Limits, below: float = np.inf) -> np.ndarray:
    """One limit in ``[0, below)`` for each of x, y, z."""
    values = np.atleast_1d(np.asarray(limits, dtype=np.float64))
    in_range = np.all((values >= 0) & (values < below))
    if values.shape not in ((1, ), (3, )) or not in_range:
        raise ValueError(
            f'{name}={limits!r}: give one number, or three for x, y and z, '
            f'at least 0 and below {below}')
    return np.broadcast_to(values, 3)


class PoseAugment(PoseTransform, metaclass=ABCMeta):
    """A transform that makes new keypoints from the keypoints alone."""

    keeps_scores = True
    batch_form = 'joints'

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Transform the keypoints of a clip.

        Args:
            results (dict): The clip.

        Returns:
            dict: The same dict; ``keypoint`` is float64 if it was float64,
            float32 if it was float32 or float16.

        Raises:
            ValueError: If the transform cannot work on the keypoints.
        """
        keypoint = self.read_keypoint(results)
        dtype = np.result_type(keypoint, np.float32)
        results['keypoint'] = self.apply(keypoint.astype(dtype, copy=False))
        return results

    @abstractmethod
    def apply(self, keypoint: np.ndarray) -> np.ndarray:
        """Make new keypoints from (M, T, V, C), float32 or float64."""


@TRANSFORMS.register_module()
class PoseRandomRotate(PoseAugment):
    """Rotate a clip about the origin by three random angles.

    ``p <- Rz(a2) Ry(a1) Rx(a0) p``, see :func:`geometry.rotation_matrix`.
    The augmentation of Skeleton2vec, MAMP and HA-CM. Nothing is drawn for an
    all-zero clip.

    Args:
        theta (float | Sequence[float]): Largest angle in radians, or one
            each for x, y and z. Angles are uniform in ``[-theta, theta]``.

    Raises:
        ValueError: If ``theta`` is negative or not one or three numbers.
    """

    def __init__(self, theta: Limits = 0.3) -> None:
        self.theta = theta
        self._limits = _per_axis('theta', theta)

    def apply(self, keypoint: np.ndarray) -> np.ndarray:
        if not keypoint.any():
            return keypoint
        angles = np.random.uniform(-self._limits, self._limits)
        return geometry.apply_matrix(keypoint,
                                     geometry.rotation_matrix(angles))

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        limits = torch.tensor(self._limits, device=persons.device)
        angles = batched.between(-limits, limits, draw.uniform('angles', 3))
        return batched.apply_matrices(persons,
                                      batched.rotation_matrices(angles))


@TRANSFORMS.register_module()
class PoseRandomScale(PoseAugment):
    """Scale a clip along each axis by a random factor.

    Args:
        scale (float | Sequence[float]): Largest relative change, below 1, or
            one each for x, y and z. The three factors are uniform in
            ``[1 - scale, 1 + scale]``, drawn one by one.

    Raises:
        ValueError: If ``scale`` is outside [0, 1) or not one or three
            numbers.
    """

    def __init__(self, scale: Limits = 0.2) -> None:
        self.scale = scale
        self._limits = _per_axis('scale', scale, below=1)

    def apply(self, keypoint: np.ndarray) -> np.ndarray:
        factors = np.random.uniform(1 - self._limits, 1 + self._limits)
        return keypoint * factors.astype(keypoint.dtype)

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        limits = torch.tensor(self._limits, device=persons.device)
        factors = batched.between(1 - limits, 1 + limits,
                                  draw.uniform('factors', 3))
        return persons.mul_(factors[:, None, None].to(persons.dtype))


@TRANSFORMS.register_module()
class PoseRandomShear(PoseAugment):
    """Shear a clip by a random matrix, see :func:`geometry.shear_matrix`.

    Args:
        shear (float): The six factors are uniform in ``[-shear, shear]``.

    Raises:
        ValueError: If ``shear`` is negative.
    """

    def __init__(self, shear: float = 0.5) -> None:
        if not 0 <= shear < np.inf:
            raise ValueError(f'shear={shear} must be a number of 0 or more')
        self.shear = shear

    def apply(self, keypoint: np.ndarray) -> np.ndarray:
        factors = np.random.uniform(-self.shear, self.shear, size=6)
        return geometry.apply_matrix(keypoint, geometry.shear_matrix(factors))

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        factors = batched.between(-self.shear, self.shear,
                                  draw.uniform('factors', 6))
        return batched.apply_matrices(persons, batched.shear_matrices(factors))


@TRANSFORMS.register_module()
class PoseRandomFlip(PoseAugment):
    """Mirror a clip, left for right, with some probability.

    The mirror is the plane x = 0: centre the clip first, or it changes
    sides.

    Args:
        prob (float): The probability, in [0, 1].
        layout (str | dict): The body, see :func:`get_layout`: which joints
            change places.

    Raises:
        ValueError: If ``prob`` is outside [0, 1], or the layout has no
            ``flip_pairs``.
    """

    keeps_scores = False  # the joints change places

    def __init__(self,
                 prob: float = 0.5,
                 layout: LayoutLike = 'ntu25') -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} must be between 0 and 1')
        self.prob = prob
        self.layout = layout
        body = self._body = get_layout(layout)
        if not body.flip_pairs:
            raise ValueError(
                f'layout {body.name!r} has no flip_pairs: it must say which '
                'joints change places in a mirrored body')
        self._order = geometry.mirror_order(body.num_joints, body.flip_pairs)

    def read_keypoint(self, results: Dict[str, Any]) -> np.ndarray:
        keypoint = super().read_keypoint(results)
        self.check_joints(results, self._body)
        return keypoint

    def apply(self, keypoint: np.ndarray) -> np.ndarray:
        if np.random.random_sample() < self.prob:
            return geometry.mirror(keypoint, self._order)
        return keypoint

    def on_batch(self, persons: Tensor, draw: Draw) -> Tensor:
        order = torch.tensor(self._order, device=persons.device)
        mirrored = persons[:, :, order]
        mirrored[..., 0] *= -1
        flip = draw.uniform('flip', 1, 1, 1) < self.prob
        return torch.where(flip, mirrored, persons)


@TRANSFORMS.register_module()
class PoseTemporalCropResize(PoseTransform):
    """Crop a clip in time and stretch the crop to a fixed length.

    The sampling of MAMP and HA-CM. Empty frames at the end of a clip are
    padding and do not count; n frames are left.

    - Random crop: the share p is uniform in ``p_interval``, the length is
      ``min(max(floor(n * p), min_frames), n)``, the start is uniform.
    - Centre crop, for tests: ``int((1 - p) * n / 2)`` frames are cut off at
      both ends, nothing is drawn.

    Then see :func:`geometry.resize_frames`. Write it in place of frame
    sampling; MMAction2's ``PoseDecode`` is not needed. Several crops, each
    drawn on its own, lie one after the other in time, as
    ``FormatGCNInput`` takes them.

    Required Keys:

        - keypoint

    Modified Keys:

        - keypoint
        - total_frames

    Added Keys:

        - num_clips

    Args:
        clip_len (int): Number of frames that a crop is stretched to.
        p_interval (Sequence[float]): Two shares in (0, 1], the smaller one
            first: random crop. One share: centre crop.
        min_frames (int): The least number of frames of a random crop; a clip
            with fewer is used whole. A centre crop has no such limit.
        num_clips (int): Number of random crops; 1 for a centre crop.

    Raises:
        ValueError: If an argument is out of range.
    """

    num_coordinates = None
    batch_form = 'frames'

    def __init__(self,
                 clip_len: int,
                 p_interval: Sequence[float] = (0.5, 1.0),
                 min_frames: int = 64,
                 num_clips: int = 1) -> None:
        if clip_len < 1 or min_frames < 1 or num_clips < 1:
            raise ValueError(
                f'clip_len={clip_len}, min_frames={min_frames} and num_clips='
                f'{num_clips} must be 1 or more')
        shares = tuple(p_interval)
        if len(shares) not in (1, 2) or not (0 < shares[0] <= shares[-1] <= 1):
            raise ValueError(
                f'p_interval={p_interval!r} must be (smallest, largest), or '
                '(share, ) for a centre crop, each above 0 and at most 1')
        if num_clips > 1 and len(shares) == 1:
            raise ValueError(
                f'num_clips={num_clips} centre crops would all be the same: '
                'give p_interval=(smallest, largest) for random crops, or '
                'num_clips=1')
        self.clip_len = clip_len
        self.p_interval: Tuple[float, ...] = shares
        self.min_frames = min_frames
        self.num_clips = num_clips

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Crop and resize a clip.

        Args:
            results (dict): The clip; ``keypoint`` is (M, T, V, C).

        Returns:
            dict: The same dict; ``keypoint`` is
            (M, num_clips * clip_len, V, C), float64 if it was, otherwise
            float32. An all-zero clip stays so.

        Raises:
            ValueError: See :meth:`read_keypoint`.
        """
        keypoint = self.read_keypoint(results)
        dtype = np.result_type(keypoint, np.float32)
        num_frames = _num_frames(keypoint)
        clips = []
        for _ in range(self.num_clips):
            start, stop = self._crop(num_frames)
            crop = keypoint[:, start:stop].astype(dtype, copy=False)
            clips.append(geometry.resize_frames(crop, self.clip_len))
        results['keypoint'] = np.concatenate(clips, axis=1)
        results['total_frames'] = self.num_clips * self.clip_len
        results['num_clips'] = self.num_clips
        return results

    def _crop(self, num_frames: int) -> Tuple[int, int]:
        if len(self.p_interval) == 1:
            return geometry.centre_crop(num_frames, self.p_interval[0])
        ratio = np.random.uniform(*self.p_interval)
        length, starts = geometry.crop_bounds(num_frames, ratio,
                                              self.min_frames)
        start = np.random.randint(starts)
        return start, start + length

    def check_batch_form(self) -> None:
        if self.num_clips > 1:
            raise ValueError(f'num_clips={self.num_clips}: a person of a '
                             'batch is one crop')

    def count_frames(self, keypoint: np.ndarray) -> int:
        return _num_frames(keypoint)

    def plan_frames(self, lengths: Tensor, draw: Draw) -> plan.FramePlan:
        if len(self.p_interval) == 1:
            crop = plan.centre_crop(lengths, self.p_interval[0])
        else:
            smallest, largest = self.p_interval
            crop = plan.random_crop(lengths, (smallest, largest),
                                    self.min_frames, draw.uniform('crop', 2))
        return plan.resize(*crop, self.clip_len)


def _num_frames(keypoint: np.ndarray) -> int:
    """Frames up to the last that is not empty; all, if every one is."""
    occupied = np.flatnonzero(keypoint.any((0, 2, 3)))
    return int(occupied[-1]) + 1 if occupied.size else keypoint.shape[1]
