# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Persons in whole batches, for pre-training."""
from typing import Any, Dict

from torch import Tensor

from skel_ssl.registry import DATASETS

from .dataset import Batch, BatchDataset


@DATASETS.register_module()
class PersonDataset(BatchDataset):
    """Persons, for pre-training: a sample is one that is there, not a clip.

    A batch is that of :meth:`BatchPipeline.make`. For the arguments see
    :class:`BatchDataset`.
    """
    samples = 'persons'

    def __len__(self) -> int:
        self.full_init()
        return len(self.persons)

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Who a person is.

        Args:
            idx (int): Index of the person.

        Returns:
            dict: ``frame_dir``, the name of the clip; ``clip``, its place in
            the data set of clips; ``person``, the place in the clip;
            ``label``, -1 if there is none; ``total_frames``.
        """
        self.full_init()
        persons = self.persons
        clip = int(persons.clip[idx])
        return dict(
            frame_dir=str(persons.names[clip]),
            clip=clip,
            person=int(persons.slot[idx]),
            label=int(persons.labels[clip]),
            total_frames=int(persons.length[idx]))

    def _make(self, indices: Tensor, seeds: Tensor) -> Batch:
        return self.pipeline.make(self.persons, *self._send(indices, seeds))
