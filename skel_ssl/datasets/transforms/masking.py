# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Masks as data transforms: thin wrappers over ``models.ops.masking``."""
from abc import abstractmethod
from typing import Dict

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from skel_ssl.models.ops.masking import (
    Masking,
    count_segments,
    motion_aware_mask,
    motion_intensity,
    patch_motion,
    random_mask,
    tube_mask,
)
from skel_ssl.registry import TRANSFORMS


class _PoseMask(BaseTransform):
    """Base of the mask transforms.

    Required Keys:

        - keypoint, ``(num_clips, M, T, V, C)``, after ``FormatGCNInput``

    Added Keys:

        - mask, bool tensor ``(num_clips, M, S, V)``, True = hidden
        - mask_rank (if ``return_rank``), int64, same shape

    Put ``'mask'`` (and ``'mask_rank'``) into the ``algorithm_keys`` of
    ``PackActionInputs``. Random numbers come from NumPy's global generator,
    as in MMAction2's transforms.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share to hide; rounded as
            :func:`~skel_ssl.models.ops.masking.num_kept` says.
        return_rank (bool): Also give the ranking that made the mask.
    """

    def __init__(self,
                 patch_len: int = 3,
                 mask_ratio: float = 0.9,
                 return_rank: bool = False) -> None:
        self.patch_len = patch_len
        self.mask_ratio = mask_ratio
        self.return_rank = return_rank

    @abstractmethod
    def make(self, persons: Tensor) -> Masking:
        """Mask persons ``(P, T, V, C)``."""

    def transform(self, results: Dict) -> Dict:
        """Add the mask of each person slot."""
        keypoint = results['keypoint']
        if keypoint.ndim != 5:
            raise ValueError(
                f'{type(self).__name__} masks (num_clips, M, T, V, C), so put '
                'it after FormatGCNInput; got a shape of '
                f'{tuple(keypoint.shape)}')
        persons = torch.as_tensor(keypoint).flatten(0, 1)
        made = self.make(persons)
        slots = keypoint.shape[:2]
        results['mask'] = made.mask.unflatten(0, slots)
        if self.return_rank:
            results['mask_rank'] = made.rank.unflatten(0, slots)
        return results

    @staticmethod
    def uniform(*shape: int) -> Tensor:
        """Uniform float32 numbers in [0, 1)."""
        # A float64 just below 1 would round up to 1.
        return torch.from_numpy(
            np.random.randint(0, 1 << 24, shape).astype(np.float32) /
            (1 << 24))

    def __repr__(self) -> str:
        args = ', '.join(f'{k}={v}' for k, v in vars(self).items())
        return f'{type(self).__name__}({args})'


@TRANSFORMS.register_module()
class MotionAwareTubeMask(_PoseMask):
    """Hide the joints that move, in tubes (Skeleton2vec, section 3.3).

    Keys as :class:`_PoseMask`.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share of the joints to hide in every tube. 0.9
            hides 23 of 25 joints (92 %).
        tube_len (int): Tokens of a tube along time, the paper's alpha.
        beta (float): Weight of the motion prior, the paper's beta; 0 =
            tubes of uniformly chosen joints.
        return_rank (bool): Also give ``mask_rank``.
    """

    def __init__(self,
                 patch_len: int = 3,
                 mask_ratio: float = 0.9,
                 tube_len: int = 5,
                 beta: float = 0.1,
                 return_rank: bool = False) -> None:
        super().__init__(patch_len, mask_ratio, return_rank)
        self.tube_len = tube_len
        self.beta = beta

    def make(self, persons: Tensor) -> Masking:
        intensity = motion_intensity(persons, self.patch_len)
        num_persons, num_segments, num_joints = intensity.shape
        uniform = self.uniform(num_persons, num_segments // self.tube_len,
                               num_joints)
        return tube_mask(intensity, self.mask_ratio, self.tube_len, self.beta,
                         uniform)


@TRANSFORMS.register_module()
class MotionAwareMask(_PoseMask):
    """Hide tokens that move, each on its own (MAMP, section 3.3).

    Keys as :class:`_PoseMask`.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share of all tokens of a person to hide.
        tau (float): Temperature of the motion prior; the lower, the more
            motion decides. 0 or less = uniform.
        return_rank (bool): Also give ``mask_rank``.
    """

    def __init__(self,
                 patch_len: int = 4,
                 mask_ratio: float = 0.9,
                 tau: float = 0.8,
                 return_rank: bool = False) -> None:
        super().__init__(patch_len, mask_ratio, return_rank)
        self.tau = tau

    def make(self, persons: Tensor) -> Masking:
        intensity = patch_motion(persons, self.patch_len)
        uniform = self.uniform(len(persons), intensity[0].numel())
        return motion_aware_mask(intensity, self.mask_ratio, self.tau, uniform)


@TRANSFORMS.register_module()
class RandomMask(_PoseMask):
    """Hide tokens uniformly at random (MAE).

    Keys and arguments as :class:`_PoseMask`; ``mask_ratio`` is the share of
    all tokens of a person.
    """

    def make(self, persons: Tensor) -> Masking:
        num_persons, num_frames, num_joints, _ = persons.shape
        num_segments = count_segments(num_frames, self.patch_len)
        uniform = self.uniform(num_persons, num_segments * num_joints)
        return random_mask(num_persons, num_segments, num_joints,
                           self.mask_ratio, uniform)
