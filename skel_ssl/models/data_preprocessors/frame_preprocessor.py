# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a batch of clips to a batch of graphs, one a person and frame."""
from typing import Any, Dict

import torch
from mmengine.model import BaseDataPreprocessor

from skel_ssl.registry import MODELS

from ..ops.indices import find_hidden_joints
from ..ops.persons import present_persons, split_scores
from ..ops.queries import draw_some
from .person_preprocessor import is_person_batch, pick_field, stack_clips


@MODELS.register_module()
class FrameDataPreprocessor(BaseDataPreprocessor):
    """Batch the frames in which persons are seen, with their masks.

    For models to which each frame of each person is a graph of its own. As
    in ``PersonDataPreprocessor`` the selection happens in host memory:
    nothing is computed or moved for a frame without the person.

    Args:
        num_coordinates (int): Coordinates of a joint; a further channel of
            the clips is the score. See
            :func:`~skel_ssl.models.ops.persons.split_scores`.
        skip_empty_persons (bool): Leave out the frames in which a person is
            not seen, and persons that are copies of person 0. False keeps
            every frame of every slot, with all its joints.
        frame_ratio (float): Share of the frames, in (0, 1], that a model is
            trained on, drawn anew for each batch: neighbouring frames are
            nearly the same. Other modes have all frames.
        non_blocking (bool): Whether the transfer to the device may overlap
            with computation.

    Raises:
        ValueError: If ``frame_ratio`` is out of range.
    """

    def __init__(self,
                 num_coordinates: int,
                 skip_empty_persons: bool = True,
                 frame_ratio: float = 1.,
                 non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        if not 0 < frame_ratio <= 1:
            raise ValueError(f'frame_ratio={frame_ratio} must be above 0 and '
                             'at most 1')
        self.frame_ratio = frame_ratio
        self.num_coordinates = num_coordinates
        self.skip_empty_persons = skip_empty_persons

    def forward(self, data: dict, training: bool = False) -> Dict[str, Any]:
        """Batch graphs.

        Args:
            data (dict): ``inputs``, a list of B clips ``(nc, M, T, V, C)``
                or their stack, and ``data_samples``, which may hold
                ``mask`` ``(nc, M, T, V)``. Or a batch of
                ``PersonDataset``: ``inputs (P, T, V, C)`` and maybe
                ``mask (P, T, V)``; a person is then a clip of its own.
            training (bool): Whether ``frame_ratio`` counts.

        Returns:
            dict: ``inputs (G, V, C)`` float32, coordinates alone;
            ``data_samples`` as they came; ``slots (G,)``, the place of each
            graph in the flattened (B, nc, M, T); ``views``, the tuple (nc,
            M, T); and, if the samples have masks, ``mask (G, V)`` and the
            ``indices`` of it, :class:`HiddenJoints`.
        """
        if is_person_batch(data):
            clips, samples = data['inputs'][:, None, None], None
        else:
            clips, samples = stack_clips(data['inputs']), data['data_samples']
        masks = [s.mask for s in samples or () if s.get('mask') is not None]
        several = any(mask.ndim != 4 for mask in masks)
        if several or len(data.get('mask', clips)) != len(clips):
            raise ValueError(
                'the data have several masks of each person: the graph model '
                'takes one, set num_masks=1 in the mask transform')
        present = present_persons(clips)
        coordinates, seen = split_scores(clips, self.num_coordinates)
        if not self.skip_empty_persons:
            present, seen = torch.ones_like(present), torch.ones_like(seen)
        there = seen.any(-1) & present[..., None]
        slots = there.flatten().nonzero()[:, 0]
        if training:
            slots = draw_some(slots[None], self.frame_ratio)[0]
        batch = dict(
            inputs=coordinates.flatten(0, 3)[slots],
            slots=slots,
            views=tuple(clips.shape[1:4]))
        mask = pick_field(samples, 'mask', slots, 4)
        if 'mask' in data:
            mask = data['mask'].flatten(0, 1)[slots]
        if mask is not None:
            batch['mask'] = mask
            batch['indices'] = find_hidden_joints(mask,
                                                  seen.flatten(0, 3)[slots])
        batch = self.cast_data(batch)
        batch['data_samples'] = samples
        return batch
