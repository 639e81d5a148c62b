# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a batch of clips to a batch of persons."""
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.indices import mask_to_indices
from ..ops.persons import present_persons


def stack_clips(clips: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    """Stack clips to ``(B, num_clips, M, T, V, C)`` float32.

    Raises:
        ValueError: If the clips have another number of axes, or differ in
            shape.
    """
    if not isinstance(clips, Tensor):
        shapes = sorted({tuple(clip.shape) for clip in clips})
        if len(shapes) > 1:
            raise ValueError(
                f'the clips of a batch differ in shape, {shapes[0]} and '
                f'{shapes[-1]}: sample the same number of frames of all, and '
                "give all a 'keypoint_score' or none")
        clips = torch.stack(list(clips))
    if clips.ndim != 6:
        raise ValueError(
            'clips are (B, num_clips, M, T, V, C), as FormatGCNInput '
            f'makes them; got a shape of {tuple(clips.shape)}')
    return clips.float()


def pick_field(samples: Optional[Sequence[BaseDataElement]], name: str,
               slots: Tensor, axes: int) -> Optional[Tensor]:
    """Batch a field of the data samples.

    Args:
        samples (Sequence[BaseDataElement], optional): One per clip.
        name (str): The field, a tensor in each.
        slots (Tensor): ``(P,)`` which rows to take.
        axes (int): How many axes, the batch's included, are the rows.

    Returns:
        Tensor, optional: ``(P, ...)``; None if the samples have no such
        field.

    Raises:
        TypeError: If it is something else than a tensor.
    """
    if not samples or name not in samples[0]:
        return None
    values = [sample.get(name) for sample in samples]
    other = next((x for x in values if not isinstance(x, Tensor)), None)
    if other is not None:
        raise TypeError(
            f'{name!r} of a clip is a {type(other).__name__}, not a tensor: '
            'let the transform that makes it write torch.from_numpy(...)')
    stacked = torch.stack(values)
    return stacked.to(slots.device).flatten(0, axes - 1)[slots]


def is_person_batch(data: Mapping[str, Any]) -> bool:
    """Whether a batch comes from a ``PersonDataset``: persons, no clips."""
    inputs = data['inputs']
    return isinstance(inputs, Tensor) and inputs.ndim == 4


@MODELS.register_module()
class PersonDataPreprocessor(BaseDataPreprocessor):
    """Batch the persons that are there, with their masks.

    Selecting persons and indexing masks happens in host memory, before the
    transfer: nothing is computed or moved for an empty slot, and no sync
    with the device is needed. A batch that a ``PersonDataset`` has finished
    is only moved.

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
                ``mask`` and ``mask_rank`` ``(nc, M, S, V)``, or ``(nc, M, K,
                S, V)``. Or a batch of
                ``PersonDataset``: ``inputs (P, T, V, C)``, and ``mask``,
                ``rank`` and ``indices`` as below if it has masks.
            training (bool): Not used; the same in every mode.

        Returns:
            dict: ``inputs (P, T, V, C)`` float32; ``data_samples`` as they
            came; ``slots (P,)``, the place of each person in the flattened
            (B, nc, M); ``views``, the tuple (nc, M); and, if the samples
            have them, ``mask`` and ``rank`` ``(P * K, S, V)`` and the
            ``indices`` of the mask. Persons from a ``PersonDataset`` have no
            ``slots`` and ``views``, and ``data_samples`` is None.
        """
        if is_person_batch(data):
            return dict(self.cast_data(data), data_samples=None)
        clips, samples = stack_clips(data['inputs']), data['data_samples']
        present = present_persons(clips)
        if not self.skip_empty_persons:
            present = torch.ones_like(present)
        slots = present.flatten().nonzero()[:, 0]
        batch: Dict[str, Any] = dict(
            inputs=clips.flatten(0, 2)[slots],
            slots=slots,
            views=tuple(clips.shape[1:3]))
        masks = pick_field(samples, 'mask', slots, 3)
        if masks is not None:
            batch['mask'] = masks.flatten(0, -3)  # several of each person
            batch['indices'] = mask_to_indices(batch['mask'])
            ranks = pick_field(samples, 'mask_rank', slots, 3)
            if ranks is not None:
                batch['rank'] = ranks.flatten(0, -3)
        batch = self.cast_data(batch)
        batch['data_samples'] = samples
        return batch
