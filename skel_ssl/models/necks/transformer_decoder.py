# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Self-attention decoder over visible latents and mask tokens."""
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.indices import TokenIndices, gather_tokens, place_tokens
from ..ops.token_embed import PositionEmbedding
from ..ops.transformer import TransformerBlock

UNSHUFFLES = ('position', 'reference', 'rank')


@MODELS.register_module()
class TransformerDecoder(BaseModule):
    """Decode all positions of a person from the visible ones.

    Latents are mapped to the decoder's width, put at their own positions
    among mask tokens, and passed through blocks that see all S * V
    positions.

    Args:
        num_segments (int): S.
        num_joints (int): V.
        in_dims (int): Width of the encoder.
        embed_dims (int): Width of the decoder.
        depth (int): Number of blocks.
        num_heads (int): Attention heads.
        mlp_ratio (float): Hidden width of the MLPs in units of the width.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        layer_scale (float, optional): Start value of LayerScale.
        norm_eps (float): Epsilon of the layer norms.
        unshuffle (str): ``'position'`` puts each latent at its own segment
            and joint. ``'reference'`` is the placement of Skeleton2vec's
            public code, which un-shuffles inside each segment a flat list
            that holds all latents first, so that they land in the first
            segments. It needs the mask's ranking and is there for parity
            with checkpoints of that code. ``'rank'`` puts at each position
            what its rank points to in the list of all latents, as they
            come, followed by mask tokens; HA-CM's ``legacy_order`` needs it.
        attention (str): ``'fused'`` or ``'plain'``.
        init_cfg (dict | list[dict], optional): Initialisation.
    """

    def __init__(self,
                 num_segments: int = 30,
                 num_joints: int = 25,
                 in_dims: int = 256,
                 embed_dims: int = 256,
                 depth: int = 3,
                 num_heads: int = 8,
                 mlp_ratio: float = 4.,
                 qkv_bias: bool = True,
                 layer_scale: Optional[float] = 1e-4,
                 norm_eps: float = 1e-6,
                 unshuffle: str = 'position',
                 attention: str = 'fused',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg or [
            dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ])
        if unshuffle not in UNSHUFFLES:
            raise ValueError(f'there is no unshuffle {unshuffle!r}; choose '
                             f'one of {UNSHUFFLES}')
        self.num_joints = num_joints
        self.unshuffle = unshuffle
        self.embed = nn.Linear(in_dims, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = PositionEmbedding(num_segments, num_joints,
                                           embed_dims)
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_dims, num_heads, mlp_ratio, qkv_bias,
                             layer_scale, 0., norm_eps, attention)
            for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)

    def init_weights(self) -> None:
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        super().init_weights()

    def forward(self,
                latent: Tensor,
                indices: TokenIndices,
                rank: Optional[Tensor] = None) -> Tensor:
        """Decode.

        Args:
            latent (Tensor): ``(P, K, D)`` visible tokens, at
                ``indices.kept``.
            indices (TokenIndices): Where the tokens are.
            rank (Tensor, optional): ``(P, S, V)``, the mask's ranking; used
                by ``unshuffle='reference'`` and ``'rank'`` only.

        Returns:
            Tensor: ``(P, S * V, D')`` tokens at all positions.
        """
        positions = self.pos_embed()
        latent = self.embed(latent)
        if self.unshuffle == 'reference':
            grid = self._reference_grid(latent, indices.kept, rank)
        elif self.unshuffle == 'rank':
            grid = self._ranked_grid(latent, rank)
        else:
            background = self.mask_token.expand(-1, positions.shape[1], -1)
            grid = place_tokens(latent, indices.kept, background)
        x = grid + positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

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
