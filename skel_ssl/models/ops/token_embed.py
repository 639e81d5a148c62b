# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Joint tokens and where they are: patch projection and positions."""
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def patchify(persons: Tensor, patch_len: int) -> Tensor:
    """Cut each joint's trajectory into patches.

    Args:
        persons (Tensor): ``(P, T, V, C)``.
        patch_len (int): Frames of a patch.

    Returns:
        Tensor: ``(P, S * V, C * patch_len)``; token ``s * V + v``, values
        coordinate by coordinate (all frames of x, then of y, ...).
    """
    patches = persons.unflatten(1, (-1, patch_len))  # P, S, s, V, C
    return patches.permute(0, 1, 3, 4, 2).flatten(3).flatten(1, 2)


class JointEmbedding(nn.Module):
    """One linear map of a joint's ``C * patch_len`` values in a patch.

    The weight has the shape of the convolution that published checkpoints
    hold, ``(D, C, patch_len, 1)``. With ``kept``, only those tokens are
    computed.
    """

    def __init__(self, in_channels: int, patch_len: int, dims: int) -> None:
        super().__init__()
        kernel = (patch_len, 1)
        self.proj = nn.Conv2d(in_channels, dims, kernel, kernel)

    def forward(self,
                persons: Tensor,
                kept: Optional[Tensor] = None) -> Tensor:
        """``(P, T, V, C)`` to ``(P, L, D)``, or ``(P, K, D)``."""
        patches = patchify(persons, self.proj.kernel_size[0])
        if kept is not None:
            patches = patches.gather(
                1, kept[..., None].expand(-1, -1, patches.shape[-1]))
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class PositionEmbedding(nn.Module):
    """Learned position of a joint plus learned position of a segment.

    A checkpoint with another number of segments is resized in time (bicubic)
    when it is loaded.

    Args:
        num_segments (int): S.
        num_joints (int): V.
        dims (int): D.
        temporal_std (float): Spread of the initial temporal positions (the
            spatial ones have 0.02); 0 = all zero.
    """

    def __init__(self,
                 num_segments: int,
                 num_joints: int,
                 dims: int,
                 temporal_std: float = 0.02) -> None:
        super().__init__()
        self.temporal_std = temporal_std
        self.spatial = nn.Parameter(torch.zeros(1, 1, num_joints, dims))
        self.temporal = nn.Parameter(torch.zeros(1, num_segments, 1, dims))

    def init_weights(self) -> None:
        """Called by the ``init_weights`` of the module that it is part of."""
        nn.init.trunc_normal_(self.spatial, std=0.02)
        if self.temporal_std:
            nn.init.trunc_normal_(self.temporal, std=self.temporal_std)
        else:
            nn.init.zeros_(self.temporal)

    def forward(self, kept: Optional[Tensor] = None) -> Tensor:
        """``(1, L, D)``, or ``(P, K, D)`` at the kept positions."""
        grid = (self.spatial + self.temporal).flatten(1, 2)
        return grid if kept is None else F.embedding(kept, grid[0])

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: Any) -> None:
        key = f'{prefix}temporal'
        loaded = state_dict.get(key)
        if loaded is not None and loaded.ndim == 4 and (
                loaded.shape[1] != self.temporal.shape[1]):
            state_dict[key] = F.interpolate(
                loaded.float().permute(0, 3, 1, 2),
                size=(self.temporal.shape[1], 1),
                mode='bicubic',
                align_corners=False).permute(0, 2, 3, 1).to(loaded.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args)
