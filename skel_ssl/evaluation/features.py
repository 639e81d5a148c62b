# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features of the clips of a data set, extracted once."""
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from skel_ssl.datasets.checks import clip_name, label_fault
from skel_ssl.datasets.seeded_sampler import (
    SeededIndex,
    isolated_random,
    sample_seed,
)
from skel_ssl.datasets.subjects import recording_of, subject_of
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.models.ops.pooling import pool_tokens

PERSONS = ('valid', 'all')


@dataclass
class FeatureSet:
    """Pooled features of n clips, and what is known of them.

    Args:
        features (np.ndarray): ``(n, D)`` float32.
        labels (np.ndarray): ``(n,)`` int64.
        names (np.ndarray): ``(n,)`` str.
        subjects (np.ndarray): ``(n,)`` str; empty where unknown.
        recordings (np.ndarray): Likewise.
        num_persons (np.ndarray): ``(n,)`` int64, persons present.
    """
    features: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    subjects: np.ndarray
    recordings: np.ndarray
    num_persons: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def raw_coordinates(clips: Tensor) -> Tensor:
    """Coordinates in the shape of a backbone's output, one token a frame.

    Args:
        clips (Tensor): ``(N, M, T, V, C)``.

    Returns:
        Tensor: ``(N, M, C, T, V)``.
    """
    return clips.permute(0, 1, 4, 2, 3)


def describe_clips(dataset: BaseDataset) -> Dict[str, np.ndarray]:
    """Labels, names, subjects and recordings of a data set's clips, in its
    order.

    Raises:
        ValueError: If a clip has no label, or none that is a class.
    """
    about: Dict[str, list] = dict(
        labels=[], names=[], subjects=[], recordings=[])
    faults = []
    read = getattr(dataset, 'get_annotation', dataset.get_data_info)
    for i in range(len(dataset)):
        info = read(i)  # with all keypoints of the clip: none is kept
        fault = label_fault(info)
        if fault is not None:
            faults.append(f'{clip_name(info)!r}, which {fault}')
            continue
        about['labels'].append(int(info['label']))
        about['names'].append(clip_name(info))
        about['subjects'].append(subject_of(info) or '')
        about['recordings'].append(recording_of(info) or '')
    if faults:
        raise ValueError(
            f'{len(faults)} of {len(dataset)} clips of {dataset.ann_file} '
            f'have no class, such as {faults[0]}: a frozen encoder can only '
            'be evaluated on labelled clips')
    return {name: np.array(values) for name, values in about.items()}


class _SeededItems(Dataset):
    """Makes each item with the seed of its index, of any kind of data set:
    those of MMAction2 take no notice of a :class:`SeededIndex`."""

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: SeededIndex) -> Any:
        with isolated_random(index.seed):
            return self.dataset[index]


@torch.no_grad()
def extract_features(dataset: BaseDataset,
                     encode: Callable[[Tensor], Tensor],
                     preprocessor: nn.Module,
                     readouts: Sequence[str],
                     persons: str = 'valid',
                     batch_size: int = 64,
                     num_workers: int = 0,
                     on_batch: Callable[[int], None] = lambda n: None,
                     view: int = 0) -> Dict[str, FeatureSet]:
    """Run a frozen encoder over a data set, once for all read-outs.

    The clips come in the order of the data set, and what the pipeline draws
    is seeded with 0 and the view. Several clips of a sample are averaged.

    Args:
        dataset (BaseDataset): Skeleton clips, without augmentation.
        encode (Callable): ``(N, M, T, V, C)`` to ``(N, M, D, S, V)``, in eval
            mode.
        preprocessor (nn.Module): The model's data preprocessor; it says
            where the encoder is.
        readouts (Sequence[str]): See :func:`pool_tokens`.
        persons (str): ``'valid'`` averages the persons present, ``'all'`` all
            slots, as published protocols do.
        batch_size (int): Clips in a batch.
        num_workers (int): Processes that load the clips.
        on_batch (Callable): Called with the number of clips done at a time.
        view (int): Another number draws other augmentations.

    Returns:
        dict[str, FeatureSet]: One for each read-out.

    Raises:
        ValueError: If the switch for persons is unknown, a clip has no
            label, or the encoder's output has another shape or is not
            finite.
    """
    if persons not in PERSONS:
        raise ValueError(f'persons={persons!r} must be one of {PERSONS}')
    about = describe_clips(dataset)
    loader = DataLoader(
        _SeededItems(dataset),
        batch_size=batch_size,
        num_workers=num_workers,
        sampler=[
            SeededIndex(i, sample_seed(0, view, i))
            for i in range(len(dataset))
        ],
        collate_fn=pseudo_collate,
        # Its own: the loader would draw from that of a running training.
        generator=torch.Generator())
    pooled: Dict[str, List[Tensor]] = {r: [] for r in readouts}
    counts: List[Tensor] = []
    for batch in loader:
        inputs = preprocessor(batch, False)['inputs'].float()
        views = inputs.shape[1]
        clips = inputs.flatten(0, 1)
        present = present_persons(clips)
        feats = encode(clips)
        if feats.ndim != 5 or feats.shape[:2] != clips.shape[:2]:
            raise ValueError(
                'the encoder must give (N, M, D, S, V), features of each '
                f'person slot; of {tuple(clips.shape)} it made '
                f'{tuple(feats.shape)}')
        counts.append(present.sum(1).unflatten(0, (-1, views)).amax(1).cpu())
        if persons == 'all':
            present = torch.ones_like(present)
        for readout, found in pooled.items():
            value = pool_tokens(feats.float(), readout, present)
            found.append(value.unflatten(0, (-1, views)).mean(1).cpu())
        on_batch(len(inputs))
    num_persons = torch.cat(counts).numpy()
    sets = {}
    for readout, found in pooled.items():
        features = torch.cat(found).numpy()
        bad = ~np.isfinite(features).all(1)
        if bad.any():
            raise ValueError(
                f'the features of {bad.sum()} clips are NaN or infinite, such '
                f'as {about["names"][bad][0]!r}: did the pre-training '
                'diverge?')
        sets[readout] = FeatureSet(features, num_persons=num_persons, **about)
    return sets
