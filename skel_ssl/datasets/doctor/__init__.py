# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Finds out what is wrong with a pose pickle, and mends what is safe."""
from .examine import Examination, examine
from .findings import FAULT, KINDS, NOTE, WARNING, Finding

__all__ = [
    'FAULT', 'KINDS', 'NOTE', 'WARNING', 'Examination', 'Finding', 'examine'
]
