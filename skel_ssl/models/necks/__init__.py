# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .transformer_decoder import TransformerDecoder

__all__ = ['TransformerDecoder']
