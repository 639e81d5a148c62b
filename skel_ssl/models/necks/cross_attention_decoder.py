# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Decoder in which hidden tokens look at visible ones alone."""
from typing import Any, Optional

from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.indices import TokenIndices
from ..ops.transformer import CrossAttentionBlock
from .base_decoder import BaseDecoder


@MODELS.register_module()
class CrossAttentionDecoder(BaseDecoder):
    """Decode the asked positions from the visible ones, each on its own.

    A query is the mask token at its position. In each block it looks at the
    visible latents, which are mapped to the decoder's width once and stay as
    they are; queries do not see each other. So only what is asked for is
    computed, and the cost grows with the number of queries times the number
    of visible tokens, not with the square of all tokens (CrossMAE, arXiv
    2401.14391). Not part of any published configuration of the methods here:
    put it in place of ``TransformerDecoder``, whose arguments it takes but
    for ``unshuffle``.

    Args:
        embed_dims (int): Width of the decoder.
        norm_eps (float): Epsilon of the layer norms.
        **kwargs: See :class:`BaseDecoder`.
    """
    block = CrossAttentionBlock

    def __init__(self,
                 embed_dims: int = 256,
                 norm_eps: float = 1e-6,
                 **kwargs: Any) -> None:
        super().__init__(embed_dims=embed_dims, norm_eps=norm_eps, **kwargs)
        self.memory_norm = nn.LayerNorm(embed_dims, eps=norm_eps)

    def forward(self,
                latent: Tensor,
                indices: TokenIndices,
                rank: Optional[Tensor] = None,
                queries: Optional[Tensor] = None) -> Tensor:
        """See :class:`BaseDecoder`; ``rank`` is not used."""
        memory = self.embed(latent) + self.pos_embed(indices.kept)
        memory = self.memory_norm(memory)
        x = self.mask_token + self.pos_embed(queries)
        x = x.to(memory.dtype).expand(len(latent), -1, -1)
        for block in self.blocks:
            x = block(x, memory)
        return self.norm(x)
