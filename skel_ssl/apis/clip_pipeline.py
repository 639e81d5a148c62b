# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Clips through a pipeline and into batches, always alike."""
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence

from mmengine.dataset import Compose

from skel_ssl.datasets.seeded_sampler import isolated_random, sample_seed

# One for all: where a clip stands in a list must not change what is drawn.
_SEED = sample_seed(0, 0, 0)


def run_pipeline(pipeline: Compose, clip: Mapping[str, Any]) -> Dict[str, Any]:
    """Make a clip ready for the model.

    The pipeline's random numbers are seeded, as those of a
    :class:`SkeletonDataset` under test are; the generators are put back.

    Args:
        pipeline (Compose): The transforms.
        clip (Mapping): See :meth:`ClipReader.read`; it is not changed.

    Returns:
        dict: ``inputs`` and ``data_samples``.
    """
    known = dict(start_index=0, modality='Pose', label=-1)
    with isolated_random(_SEED):
        return pipeline({**known, **clip})


def batch_by_shape(items: Iterable[Sequence[Any]],
                   size: int) -> Iterator[List[Any]]:
    """Gather items, in their order, into batches of one shape.

    Args:
        items (Iterable[Sequence]): The last entry of each is what
            :func:`run_pipeline` made.
        size (int): The most items in a batch.

    Yields:
        list: One or more items.
    """
    batch: List[Any] = []
    for item in items:
        full = len(batch) == size
        if batch and (full or _shape(item) != _shape(batch[0])):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _shape(item: Sequence[Any]) -> tuple:
    return tuple(item[-1]['inputs'].shape)
