# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .cross_attention_decoder import CrossAttentionDecoder
from .gin_decoder import GINDecoder
from .transformer_decoder import TransformerDecoder

__all__ = ['CrossAttentionDecoder', 'GINDecoder', 'TransformerDecoder']
