# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""HA-CM's mask generator: the part of the model that hides tokens."""
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.cross_masking import (
    SELECTIONS,
    CrossMasking,
    attention_score,
    cross_mask,
    group_sizes,
    hierarchy_score,
)
from ..ops.hyperbolic import ball_map

SLIPS = ('A', 'B', 'C')


class FrozenLinear(nn.Module):
    """A random linear map of buffers: no loss can train it.

    It only ranks tokens, and a ranking has no gradient.

    Args:
        dims (int): Width of input and output.
    """
    weight: Tensor
    bias: Tensor

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.register_buffer('weight', torch.empty(dims, dims))
        self.register_buffer('bias', torch.empty(dims))
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier uniform weight, zero bias."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to ``(..., D)``."""
        return F.linear(x, self.weight, self.bias)


@MODELS.register_module()
class CrossMask(BaseModule):
    """Cross masks of even and odd segments (HA-CM, arXiv 2409.17951).

    In the even segments (the temporal group) attention between segments
    scores the tokens, in the odd ones (the spatial group) the hyperbolic
    distance to the other joints; the higher the score, the more likely a
    token stays visible. The attention's projections ``l1`` and ``l2`` stay
    what they were at the start, as in the public code, where nothing trains
    them either; they are in the state dict.

    Args:
        embed_dims (int): Width of the backbone, D.
        mask_ratio (float): Share of the tokens of each group to hide,
            rounded as :func:`~skel_ssl.models.ops.masking.num_kept` says.
        tau (float): Temperature of the draw; the higher, the less the score
            counts.
        null_weight (float): Weight of the distance to the NULL point, the
            mean of the trunk joints.
        distance_factor (float): 2 for the textbook distance; the public code
            has 4.
        select (str): ``'keep_high'`` keeps high scores visible, as
            published; ``'mask_high'`` hides them.
        legacy_order (bool | Sequence[str]): True repeats the three index
            slips of the public code, which its published weights are trained
            with; a selection of 'A', 'B' and 'C' repeats those, see
            :func:`~skel_ssl.models.ops.cross_masking.cross_mask`. The neck
            then needs ``unshuffle='rank'``.
        num_masks (int): How many masks to draw for each person, K.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self,
                 embed_dims: int = 256,
                 mask_ratio: float = 0.9,
                 tau: float = 0.9,
                 null_weight: float = 0.01,
                 distance_factor: float = 2.,
                 select: str = 'keep_high',
                 legacy_order: Union[bool, Sequence[str]] = False,
                 num_masks: int = 1) -> None:
        super().__init__()
        if tau <= 0:
            raise ValueError(f'tau={tau} must be above 0; a large one, such '
                             'as 1e6, makes the draw uniform')
        if select not in SELECTIONS:
            raise ValueError(f'there is no select {select!r}; choose one of '
                             f'{SELECTIONS}')
        if distance_factor <= 0 or null_weight < 0:
            raise ValueError(
                f'distance_factor={distance_factor} must be above 0 and '
                f'null_weight={null_weight} not below it')
        if isinstance(legacy_order, bool):
            legacy_order = SLIPS if legacy_order else ()
        if not set(legacy_order) <= set(SLIPS):
            raise ValueError(f'legacy_order={legacy_order!r} is neither a '
                             f'bool nor a selection of {SLIPS}')
        if num_masks < 1:
            raise ValueError(f'num_masks={num_masks} must be 1 or more')
        self.num_masks = num_masks
        self.mask_ratio = mask_ratio
        self.tau = tau
        self.null_weight = null_weight
        self.distance_factor = distance_factor
        self.select = select
        self.legacy = tuple(legacy_order)
        self.l1 = FrozenLinear(embed_dims)
        self.l2 = FrozenLinear(embed_dims)

    def num_kept(self, num_segments: int, num_joints: int) -> Tuple[int, int]:
        """Visible tokens of the temporal and of the spatial group."""
        return group_sizes(num_segments, num_joints, self.mask_ratio)

    @torch.no_grad()
    def scores(self, tokens: Tensor, null: Tensor) -> Tuple[Tensor, Tensor]:
        """Scores of both groups, float32.

        Args:
            tokens (Tensor): ``(P, S, V, D)``, before the map into the ball.
            null (Tensor): ``(P, S, D)``, the NULL points.

        Returns:
            tuple[Tensor, Tensor]: ``(P, S_t, V)`` of the even segments and
            ``(P, S_s, V)`` of the odd ones.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            even = tokens[:, 0::2].float()
            temporal = attention_score(self.l1(even), self.l2(even))
            spatial = hierarchy_score(
                ball_map(tokens[:, 1::2]), null[:, 1::2].float(),
                self.null_weight, self.distance_factor)
            return temporal, spatial

    @torch.no_grad()
    def forward(
            self,
            tokens: Tensor,
            null: Tensor,
            uniform: Optional[Tuple[Tensor, Tensor]] = None) -> CrossMasking:
        """Draw the masks of a batch.

        Args:
            tokens (Tensor): ``(P, S, V, D)``, before the map into the ball.
            null (Tensor): ``(P, S, D)``, the NULL points.
            uniform (tuple[Tensor, Tensor], optional): ``(P * K, S_t * V)``
                and ``(P * K, S_s * V)`` numbers in [0, 1). Drawn on the
                tokens' device if not given.

        Returns:
            CrossMasking: ``P * K`` rows, those of a person one after the
            other.
        """
        temporal, spatial = (
            score.repeat_interleave(self.num_masks, 0)
            if self.num_masks > 1 else score
            for score in self.scores(tokens, null))
        if uniform is None:
            uniform = (torch.rand_like(temporal.flatten(1)),
                       torch.rand_like(spatial.flatten(1)))
        return cross_mask(temporal, spatial, self.num_kept(*tokens.shape[1:3]),
                          uniform, self.tau, self.select, self.legacy)
