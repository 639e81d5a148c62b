# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .gin_decoder import GINDecoder
from .transformer_decoder import TransformerDecoder

__all__ = ['GINDecoder', 'TransformerDecoder']
