# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .cross_mask import CrossMask

__all__ = ['CrossMask']
