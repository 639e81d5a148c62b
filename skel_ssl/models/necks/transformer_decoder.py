# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Self-attention decoder over visible latents and mask tokens."""
from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.indices import TokenIndices, gather_tokens, place_tokens
from .base_decoder import BaseDecoder

UNSHUFFLES = ('position', 'reference', 'rank')


@MODELS.register_module()
class TransformerDecoder(BaseDecoder):
    """Decode all positions of a person from the visible ones.

    Latents are mapped to the decoder's width, put at their own positions
    among mask tokens, and passed through blocks that see all S * V
    positions.

    Args:
        unshuffle (str): ``'position'`` puts each latent at its own segment
            and joint. ``'reference'`` is the placement of Skeleton2vec's
            public code, which un-shuffles inside each segment a flat list
            that holds all latents first, so that they land in the first
            segments. It needs the mask's ranking and is there for parity
            with checkpoints of that code. ``'rank'`` puts at each position
            what its rank points to in the list of all latents, as they
            come, followed by mask tokens; HA-CM's ``legacy_order`` needs it.
        **kwargs: See :class:`BaseDecoder`.

    Raises:
        ValueError: If there is no such ``unshuffle``.
    """

    def __init__(self, unshuffle: str = 'position', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if unshuffle not in UNSHUFFLES:
            raise ValueError(f'there is no unshuffle {unshuffle!r}; choose '
                             f'one of {UNSHUFFLES}')
        self.unshuffle = unshuffle

    def forward(self,
                latent: Tensor,
                indices: TokenIndices,
                rank: Optional[Tensor] = None,
                queries: Optional[Tensor] = None) -> Tensor:
        """See :class:`BaseDecoder`.

        All positions are computed, whichever are asked for. ``rank`` is used
        by ``unshuffle='reference'`` and ``'rank'`` only.
        """
        latent = self.embed(latent)
        x, qkv = self._start(latent, indices.kept, rank)
        for block in self.blocks:
            x, qkv = block(x, qkv), None
        if queries is not None:
            x = gather_tokens(x, queries)
        return self.norm(x)

    def _start(
            self, latent: Tensor, kept: Tensor,
            rank: Optional[Tensor]) -> Tuple[Tensor, Optional[Tensor]]:
        """All tokens, and what the first block needs of them if it is
        cheaper to make here."""
        positions = self.pos_embed()
        if self.unshuffle == 'reference':
            return self._reference_grid(latent, kept, rank) + positions, None
        if self.unshuffle == 'rank':
            return self._ranked_grid(latent, rank) + positions, None
        visible = latent + self.pos_embed(kept)
        masked = self.mask_token + positions
        if not self.blocks:
            return place_tokens(visible, kept, masked), None
        # A hidden token is the same in everybody until the tokens mix.
        first: Any = self.blocks[0]
        qkv = place_tokens(
            first.attn.qkv(first.norm1(visible)), kept,
            first.attn.qkv(first.norm1(masked)))
        return place_tokens(visible, kept, masked), qkv

    def _reference_grid(self, latent: Tensor, kept: Tensor,
                        rank: Optional[Tensor]) -> Tensor:
        """The public code's placement; see Args of the class."""
        if rank is None:
            raise ValueError(
                "unshuffle='reference' needs the ranking behind the mask: "
                'give the mask transform return_rank=True and pack '
                "'mask_rank'")
        num_joints = self.num_joints
        rank = rank.flatten(1)
        # The public code lists latents by segment, then by rank.
        segment = kept.div(num_joints, rounding_mode='floor')
        order = (segment * num_joints + rank.gather(1, kept)).argsort(1)
        latent = gather_tokens(latent, order)
        start = torch.arange(rank.shape[1], device=rank.device)
        start = start - start % num_joints
        return self._listed(latent, start + rank)

    def _ranked_grid(self, latent: Tensor, rank: Optional[Tensor]) -> Tensor:
        """Placement by rank; see Args of the class."""
        if rank is None:
            raise ValueError(
                "unshuffle='rank' needs the ranking behind the mask, as "
                "CrossMask makes it; use 'position' for other masks")
        return self._listed(latent, rank.flatten(1))

    def _listed(self, latent: Tensor, places: Tensor) -> Tensor:
        """Pick ``(P, L)`` places from all latents followed by mask
        tokens."""
        fill = self.mask_token.to(latent.dtype).expand(
            len(latent), places.shape[1] - latent.shape[1], -1)
        return gather_tokens(torch.cat([latent, fill], dim=1), places)
