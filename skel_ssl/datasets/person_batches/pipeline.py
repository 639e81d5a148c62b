# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The pipeline of a data set, for whole batches of persons."""
from collections import Counter
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmaction.datasets.transforms import (
    FormatGCNInput,
    GenSkeFeat,
    PackActionInputs,
    PoseDecode,
)
from torch import Tensor

from skel_ssl.models.ops.indices import mask_to_indices

from ..transforms.base import PoseTransform
from .frames import RaggedPersons
from .random_numbers import Draw

# MMAction2's transforms with which nothing is left to do for a person.
UPSTREAM = (PoseDecode, FormatGCNInput, GenSkeFeat, PackActionInputs)


class BatchPipeline:
    """Does to batches of persons what a list of transforms does to clips.

    1. The transforms at the beginning that have
       :meth:`~PoseTransform.offline_settings` are done once for each clip,
       see :meth:`prepare`.
    2. Frames are chosen, for the whole batch.
    3. The other transforms follow in their order. Rotation, scale, shear,
       flip and bones map every frame alike and linearly: written before the
       choice of frames, they are done after it, with the same result.
    4. Masks, and the indices of them.

    The numbers that are drawn have the distribution of the transforms', but
    they are others, and each person has its own: two persons of a clip are
    turned by different angles.

    A transform brings its own batch form, see
    :attr:`PoseTransform.batch_form`; of MMAction2's, only those are known
    with which nothing is left to do.

    Args:
        transforms (Sequence[Callable]): The transforms of a pipeline.

    Raises:
        ValueError: If one of them has no batch form, or not there.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        rest = list(transforms)
        self.offline: List[PoseTransform] = []
        while (rest and isinstance(rest[0], PoseTransform)
               and rest[0].offline_settings() is not None):
            self.offline.append(rest.pop(0))
        self.sampler: Any = None  # a PoseTransform
        self.mask: Optional[Any] = None
        self.num_persons: Optional[int] = None
        self.repeats_persons = False
        self._values: List[Tuple[str, PoseTransform]] = []
        seen: Dict[str, int] = Counter()
        for transform in rest:
            kind = type(transform).__name__
            if type(transform) in UPSTREAM:
                self._add_upstream(transform)
            else:  # the same transform twice draws other numbers
                self._add(f'{kind} {seen[kind]}', transform)
            seen[kind] += 1
        if self.sampler is None:
            raise ValueError(
                'no transform of the pipeline chooses frames for a batch: use '
                'PoseUniformSampleFrames or PoseTemporalCropResize, or train '
                'without person batches')

    def _add_upstream(self, transform: Any) -> None:
        feats = list(getattr(transform, 'feats', ['j']))
        if feats != ['j']:
            raise _no_batch_form(
                transform, f'feats={feats}: PoseGenSkeFeat makes other '
                'streams than joints')
        if hasattr(transform, 'num_person'):
            self.num_persons = transform.num_person
            self.repeats_persons = getattr(transform, 'mode', '') == 'loop'

    def _add(self, name: str, transform: Any) -> None:
        form = getattr(transform, 'batch_form', None)
        if form is None:
            raise _no_batch_form(transform, 'it works clip by clip alone')
        try:
            transform.check_batch_form()
        except ValueError as error:
            raise _no_batch_form(transform, str(error)) from None
        if self.mask is not None:
            raise _no_batch_form(transform, 'it is written behind a mask')
        if form == 'mask':
            self.mask = transform
            self._mask_name = name
        elif form != 'frames':
            if form == 'motion' and self.sampler is None:
                raise _no_batch_form(
                    transform, 'it is written in front of the choice of '
                    'frames, and would not do the same behind it')
            self._values.append((name, transform))
        elif self.sampler is not None:
            raise _no_batch_form(
                transform, f'{type(self.sampler).__name__} has chosen frames '
                'before')
        else:
            self.sampler = transform
            self._sampler_name = name

    def prepare(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Do what is done once, and look whether a clip suits the rest.

        Args:
            results (dict): A clip as the data set gives it; it is changed.

        Returns:
            dict: The same; ``keypoint`` is (M, T, V, C), with the frames that
            may be chosen and the persons that may be there.

        Raises:
            ValueError: If it has scores, or does not suit a transform.
        """
        for transform in self.offline:
            results = transform(results)
        if 'keypoint_score' in results:
            raise ValueError(
                f"{self.sampler.where(results)}: 'keypoint_score' has no "
                "place in a batch of persons; train without person batches")
        self.sampler.read_keypoint(results)
        for _, transform in self._values:
            transform.read_keypoint(results)
        keypoint = results['keypoint']
        count = self.sampler.count_frames(keypoint)
        results['keypoint'] = keypoint[:self.num_persons, :count]
        return results

    def make(self,
             persons: RaggedPersons,
             rows: Tensor,
             seeds: Tensor,
             slots: Optional[Tensor] = None) -> Dict[str, Any]:
        """Make a batch, where the frames are.

        Args:
            persons (RaggedPersons): All persons.
            rows (Tensor): ``(P,)`` int64, which to take.
            seeds (Tensor): ``(P,)`` int64, their seeds.
            slots (Tensor, optional): ``(P,)`` int64, their places in the
                clip, where its persons share a seed.

        Returns:
            dict: ``inputs (P, T, V, C)`` float32. With masks also ``mask
            (P * K, S, V)``, K masks of a person one after the other; ``rank``
            of that shape if it is asked for; and ``indices`` unless the
            number of hidden tokens differs from person to person.
        """
        draw = Draw(seeds, slots)
        plan = self.sampler.plan_frames(persons.length[rows],
                                        draw.within(self._sampler_name))
        made = plan.take(persons.frames, persons.start[rows])
        for name, transform in self._values:
            channels = transform.num_coordinates
            if channels not in (None, made.shape[-1]):
                raise ValueError(
                    f'{transform!r} takes {channels} coordinates, and the '
                    f'transforms before it made {made.shape[-1]} channels')
            made = transform.on_batch(made, draw.within(name))
        batch: Dict[str, Any] = dict(inputs=made)
        if self.mask is None:
            return batch
        draw = draw.within(self._mask_name)
        masks = self.mask.draw(made, lambda *shape: draw.uniform('', *shape))
        batch['mask'] = masks['mask']
        if 'mask_rank' in masks:
            batch['rank'] = masks['mask_rank']
        hidden = self.mask.num_hidden(*masks['mask'].shape[1:])
        if hidden is not None:
            batch['indices'] = mask_to_indices(masks['mask'], hidden)
        return batch


def _no_batch_form(transform: Any, reason: str) -> ValueError:
    return ValueError(
        f'{transform!r} has no form for batches of persons: {reason}. Change '
        'the pipeline, or train without person batches')
