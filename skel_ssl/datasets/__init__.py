# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .checks import find_faults
from .few_labels import choose_few_labels, hash_clips
from .layouts import LAYOUTS, SkeletonLayout, get_layout
from .person_batches.clip_dataset import ClipDataset
from .person_batches.dataset import finished_batch
from .person_batches.person_dataset import PersonDataset
from .pickle_io import load_annotations
from .ragged_store import RaggedStore
from .ragged_writer import write_store
from .seeded_sampler import SeededIndex, SeededSampler
from .skeleton_dataset import SkeletonDataset
from .transforms import *  # noqa: F403
from .transforms import __all__ as _transforms

__all__ = [
    'ClipDataset', 'LAYOUTS', 'PersonDataset', 'RaggedStore', 'SeededIndex',
    'SeededSampler', 'SkeletonDataset', 'SkeletonLayout', 'choose_few_labels',
    'find_faults', 'finished_batch', 'get_layout', 'hash_clips',
    'load_annotations', 'write_store', *_transforms
]
