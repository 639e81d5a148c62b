# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .clip_preprocessor import ClipDataPreprocessor
from .frame_preprocessor import FrameDataPreprocessor
from .person_preprocessor import PersonDataPreprocessor

__all__ = [
    'ClipDataPreprocessor', 'FrameDataPreprocessor', 'PersonDataPreprocessor'
]
