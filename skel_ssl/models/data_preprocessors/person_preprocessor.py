# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a batch of clips to a batch of persons."""
from typing import Any, Dict, List

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.indices import mask_to_indices
from ..ops.persons import present_persons


@MODELS.register_module()
class PersonDataPreprocessor(BaseDataPreprocessor):
    """Batch the persons that are there, with their masks.

    Selecting persons and indexing masks happens in host memory, before the
    transfer: nothing is computed or moved for an empty slot, and no sync
    with the device is needed.

    Args:
        skip_empty_persons (bool): Leave out person slots that are all zero,
            or copies of person 0. False keeps every slot, as published
            codes do.
        non_blocking (bool): Whether the transfer to the device may overlap
            with computation.
    """

    def __init__(self,
                 skip_empty_persons: bool = True,
                 non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        self.skip_empty_persons = skip_empty_persons

    def forward(self, data: dict, training: bool = False) -> Dict[str, Any]:
        """Batch persons.

        Args:
            data (dict): ``inputs``, a list of B clips ``(nc, M, T, V, C)``
                or their stack, and ``data_samples``, which may hold
                ``mask`` and ``mask_rank`` ``(nc, M, S, V)``.
            training (bool): Not used; the same in every mode.

        Returns:
            dict: ``inputs (P, T, V, C)`` float32; ``data_samples`` as they
            came; ``slots (P,)``, the place of each person in the flattened
            (B, nc, M); ``views``, the tuple (nc, M); and, if the samples
            have them, ``mask`` and ``rank`` ``(P, S, V)`` and the
            ``indices`` of the mask.
        """
        clips, samples = data['inputs'], data['data_samples']
        if not isinstance(clips, Tensor):
            clips = torch.stack(list(clips))
        clips = clips.float()
        if clips.ndim != 6:
            raise ValueError(
                'clips are (B, num_clips, M, T, V, C), as FormatGCNInput '
                f'makes them; got a shape of {tuple(clips.shape)}')
        present = present_persons(clips)
        if not self.skip_empty_persons:
            present = torch.ones_like(present)
        slots = present.flatten().nonzero()[:, 0]

        def persons_of(values: List[Tensor], axes: int) -> Tensor:
            stacked = torch.stack(list(values)).to(present.device)
            return stacked.flatten(0, axes - 1)[slots]

        batch = dict(
            inputs=clips.flatten(0, 2)[slots],
            slots=slots,
            views=tuple(clips.shape[1:3]))
        if samples is not None and len(samples) and 'mask' in samples[0]:
            batch['mask'] = persons_of([s.mask for s in samples], 3)
            batch['indices'] = mask_to_indices(batch['mask'])
            if 'mask_rank' in samples[0]:
                batch['rank'] = persons_of([s.mask_rank for s in samples], 3)
        batch = self.cast_data(batch)
        batch['data_samples'] = samples
        return batch
