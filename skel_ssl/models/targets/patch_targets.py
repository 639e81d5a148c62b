# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Coordinates and motion as targets: MAE and MAMP."""
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.masking import frame_motion

NORMALISATIONS = ('patch', 'time', None)


def to_patches(frames: Tensor, patch_len: int) -> Tensor:
    """Cut each joint's trajectory into patches, frame by frame.

    Args:
        frames (Tensor): ``(P, T, V, C)``.
        patch_len (int): Frames of a patch.

    Returns:
        Tensor: ``(P, S * V, patch_len * C)``; token ``s * V + v``, values
        frame by frame (x, y, z of the first frame, then of the second, ...).
    """
    patches = frames.unflatten(1, (-1, patch_len))  # P, S, s, V, C
    return patches.transpose(2, 3).flatten(3).flatten(1, 2)


def normalise_patches(patches: Tensor) -> Tensor:
    """Standardise the values of each token, with the unbiased variance.

    Args:
        patches (Tensor): ``(P, L, n)``.

    Returns:
        Tensor: ``(P, L, n)`` float32; zeros for a constant patch.
    """
    var, mean = torch.var_mean(patches.float(), dim=-1, keepdim=True)
    return (patches.float() - mean) * (var + 1e-6).rsqrt()


def normalise_time(frames: Tensor) -> Tensor:
    """Standardise each coordinate of each joint over the whole clip.

    Args:
        frames (Tensor): ``(P, T, V, C)``.

    Returns:
        Tensor: ``(P, T, V, C)`` float32; zeros where nothing changes.
    """
    var, mean = torch.var_mean(frames.float(), dim=1, keepdim=True)
    return (frames.float() - mean) * (var + 1e-6).rsqrt()


class PatchTarget(BaseModule):
    """A target that is cut from the clip itself.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        normalise (str, optional): ``'patch'`` standardises the values of each
            token, as MAE and MAMP do; ``'time'`` each coordinate of each
            joint over the clip; None leaves metres.

    Raises:
        ValueError: If there is no such normalisation.
    """

    def __init__(self,
                 patch_len: int = 4,
                 normalise: Optional[str] = 'patch') -> None:
        super().__init__()
        if normalise not in NORMALISATIONS:
            raise ValueError(f'there is no normalisation {normalise!r}; '
                             f'choose one of {NORMALISATIONS}')
        self.patch_len = patch_len
        self.normalise = normalise

    def frames(self, persons: Tensor) -> Tensor:
        """What is to be predicted of each frame, ``(P, T, V, C)``."""
        return persons

    @torch.no_grad()
    def forward(self, persons: Tensor) -> Tensor:
        """``(P, T, V, C)`` to targets ``(P, S * V, patch_len * C)``,
        float32."""
        with torch.autocast(persons.device.type, enabled=False):
            frames = self.frames(persons.float())
            if self.normalise == 'time':
                frames = normalise_time(frames)
            patches = to_patches(frames, self.patch_len)
            if self.normalise == 'patch':
                patches = normalise_patches(patches)
            return patches


@MODELS.register_module()
class CoordinateTarget(PatchTarget):
    """The coordinates of the hidden tokens (MAE). See :class:`PatchTarget`."""


@MODELS.register_module()
class MotionTarget(PatchTarget):
    """The motion of the hidden tokens (MAMP, ICCV 2023).

    ``x[t + stride] - x[t]``, zero in the last ``stride`` frames.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        stride (int): Frames between the two that are compared.
        normalise (str, optional): See :class:`PatchTarget`.
    """

    def __init__(self,
                 patch_len: int = 4,
                 stride: int = 1,
                 normalise: Optional[str] = 'patch') -> None:
        super().__init__(patch_len, normalise)
        if stride < 1:
            raise ValueError(f'stride={stride} must be 1 or more')
        self.stride = stride

    def frames(self, persons: Tensor) -> Tensor:
        return frame_motion(persons, self.stride)
