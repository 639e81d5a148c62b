# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Labelled clips in whole batches, for training with labels."""
from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor

from skel_ssl.registry import DATASETS

from ..checks import label_fault
from ..skeleton_dataset import SkeletonDataset
from .dataset import Batch, BatchDataset


@DATASETS.register_module()
class ClipDataset(BatchDataset):
    """Clips with their classes, for training with labels.

    A batch is ``inputs (N, 1, M, T, V, C)`` float32 and ``labels (N,)``
    int64. The persons of a clip are cropped and turned alike, with jitter of
    their own, and keep their places; M is the ``num_person`` of the
    pipeline's ``FormatGCNInput``, or the most that a clip has. Nothing is
    computed for an absent one, which is zeros. For the arguments see
    :class:`BatchDataset`.

    Raises:
        ValueError: Also, if a clip has no class, see :func:`label_fault`, or
            the pipeline has a mask, or puts copies into empty places.
    """
    samples = 'clips'

    def _check_pipeline(self) -> None:
        if self.pipeline.mask is not None:
            raise ValueError(
                f'{self.pipeline.mask!r} is for pre-training, and a '
                'ClipDataset has no use for a mask: leave it out of the '
                'pipeline, or take a PersonDataset')
        if self.pipeline.repeats_persons:
            raise ValueError(
                "FormatGCNInput(mode='loop') fills empty places with person "
                '0, and here they are left empty: take that mode out, or '
                'train without person batches')

    def _read(self, clips: SkeletonDataset, idx: int) -> Dict[str, Any]:
        clip = super()._read(clips, idx)
        with clips.naming_the_clip(idx):
            fault = label_fault(clip)
            if fault is not None:
                raise ValueError(f'it {fault}')
        return clip

    def _prepare(self) -> None:
        persons = self.persons
        most = int(persons.slot.max()) + 1
        size = len(persons.names), self.pipeline.num_persons or most
        # Which person is in which place of which clip, -1: nobody.
        self._places = torch.full(size, -1)
        self._places[persons.clip, persons.slot] = torch.arange(len(persons))
        self._labels = torch.from_numpy(persons.labels.astype(np.int64))

    def __len__(self) -> int:
        self.full_init()
        return len(self._labels)

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """What a clip is.

        Args:
            idx (int): Index of the clip.

        Returns:
            dict: ``frame_dir``, its name; ``label``; ``persons``, the places
            of those that are there.
        """
        self.full_init()
        return dict(
            frame_dir=str(self.persons.names[idx]),
            label=int(self._labels[idx]),
            persons=(self._places[idx] >= 0).nonzero()[:, 0].tolist())

    def _make(self, indices: Tensor, seeds: Tensor) -> Batch:
        clips = self._places[indices]
        # Who is there is known in host memory: no wait for the device.
        slots = (clips.flatten() >= 0).nonzero()[:, 0]
        seeds = seeds.repeat_interleave(clips.shape[1])
        rows, seeds, places = self._send(clips.flatten()[slots], seeds[slots],
                                         slots)
        made = self.pipeline.make(self.persons, rows, seeds,
                                  places % clips.shape[1])['inputs']
        inputs = made.new_zeros(clips.numel(), *made.shape[1:])
        inputs.index_copy_(0, places, made)
        return dict(
            inputs=inputs.view(len(clips), 1, -1, *made.shape[1:]),
            labels=self._labels[indices].to(self.device, non_blocking=True))
