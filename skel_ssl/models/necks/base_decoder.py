# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the transformer decoders share: their weights."""
from abc import abstractmethod
from typing import Optional, Type

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..ops.indices import TokenIndices
from ..ops.token_embed import PositionEmbedding
from ..ops.transformer import TransformerBlock


class BaseDecoder(BaseModule):
    """A decoder of a person's tokens: mask tokens, positions, blocks.

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
        attention (str): ``'fused'`` or ``'plain'``.
        init_cfg (dict | list[dict], optional): Initialisation.
    """
    block: Type[TransformerBlock] = TransformerBlock

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
                 attention: str = 'fused',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg or [
            dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ])
        self.num_segments = num_segments
        self.num_joints = num_joints
        self.embed = nn.Linear(in_dims, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = PositionEmbedding(num_segments, num_joints,
                                           embed_dims)
        self.blocks = nn.ModuleList(
            self.block(embed_dims, num_heads, mlp_ratio, qkv_bias, layer_scale,
                       0., norm_eps, attention) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)

    def init_weights(self) -> None:
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        super().init_weights()

    @abstractmethod
    def forward(self,
                latent: Tensor,
                indices: TokenIndices,
                rank: Optional[Tensor] = None,
                queries: Optional[Tensor] = None) -> Tensor:
        """Decode.

        Args:
            latent (Tensor): ``(P, K, D)`` visible tokens, at
                ``indices.kept``.
            indices (TokenIndices): Where the tokens are.
            rank (Tensor, optional): ``(P, S, V)``, the mask's ranking.
            queries (Tensor, optional): ``(P, Q)`` positions to decode; None =
                all of them.

        Returns:
            Tensor: ``(P, Q, D')``; Q = S * V without ``queries``.
        """
