# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A procedural generator of skeleton clips, to try everything out on."""
from .generate import make_dataset, save
from .motions import MOTIONS

__all__ = ['MOTIONS', 'make_dataset', 'save']
