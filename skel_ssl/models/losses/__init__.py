# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .cross_contrast import CrossContrastLoss

__all__ = ['CrossContrastLoss']
