# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The one algorithm of masked pre-training."""
import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.ema import EMATeacher
from ..ops.indices import TokenIndices, mask_to_indices
from ..ops.queries import count_masks, draw_some, first_masks, gather_shared

# TokenIndices here; a model of graphs has HiddenJoints in their place.
Indices = Any


class ModelView(NamedTuple):
    """What a model makes of a batch, for those who watch a training.

    Attributes:
        untreated (Tensor): ``(P, L, D')`` targets of all tokens before any
            normalisation.
        hidden (Tensor): ``(H, D')`` targets of the hidden tokens.
        visible (Tensor): ``(K, D')`` targets of the visible tokens.
        pred (Tensor): ``(H, D')`` predictions.
        features (dict[str, Tensor]): Mean features ``(P, D)`` of the
            unmasked input, of ``'student'`` and, if there is one,
            ``'teacher'``.
    """
    untreated: Tensor
    hidden: Tensor
    visible: Tensor
    pred: Tensor
    features: Dict[str, Tensor]


@MODELS.register_module()
class MaskedSkeletonModel(BaseModel):
    """Hide tokens of a person, encode the rest, predict what was hidden.

    A method is a choice of five parts: the mask (a data transform), the
    backbone that encodes visible tokens, the neck that decodes all
    positions, the target, and the head that compares at hidden positions.

    Args:
        backbone (dict): Encoder, e.g. ``SkeletonTransformer``.
        neck (dict): Decoder, e.g. ``TransformerDecoder``.
        target (dict): Target generator, e.g. ``TeacherTarget``.
        head (dict): Comparison, e.g. ``RegressionHead``.
        data_preprocessor (dict, optional): Defaults to
            ``PersonDataPreprocessor``.
        query_ratio (float): Share of the hidden tokens, in (0, 1], that is
            predicted in a step, drawn anew for each person. Spares time with
            a neck that computes queries alone, ``CrossAttentionDecoder``.
        keep_reconstruction (bool): Whether ``predict`` puts predictions and
            targets of all tokens into the data samples; they are large.
        init_cfg (dict | list[dict], optional): Initialisation.

    Raises:
        ValueError: If ``query_ratio`` is out of range, or neck or target are
            made for another grid of tokens than the backbone's.

    Attributes:
        makes_masks (bool): Whether the model hides tokens by itself, without
            masks in the data; see :meth:`hide`.
    """
    makes_masks = False

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 target: dict,
                 head: dict,
                 data_preprocessor: Optional[dict] = None,
                 query_ratio: float = 1.,
                 keep_reconstruction: bool = True,
                 init_cfg: Optional[Union[dict, List[dict]]] = None) -> None:
        super().__init__(
            data_preprocessor=data_preprocessor
            or dict(type='PersonDataPreprocessor'),
            init_cfg=init_cfg)
        if not 0 < query_ratio <= 1:
            raise ValueError(f'query_ratio={query_ratio} must be above 0 and '
                             'at most 1')
        self.query_ratio = query_ratio
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.target = MODELS.build(target)
        self.head = MODELS.build(head)
        self.keep_reconstruction = keep_reconstruction
        self._check_grids()
        if hasattr(self.target, 'bind'):
            self.target.bind(self.backbone)

    @property
    def teacher(self) -> Optional[EMATeacher]:
        """The EMA teacher, if the target has one."""
        return getattr(self.target, 'teacher', None)

    def init_weights(self) -> None:
        super().init_weights()
        # One that came with a checkpoint, or was trained, stays.
        if self.teacher is not None and not self.teacher.has_weights:
            self.teacher.copy_from(self.backbone)

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[List[BaseDataElement]] = None,
                mode: str = 'tensor',
                mask: Optional[Tensor] = None,
                indices: Optional[Indices] = None,
                rank: Optional[Tensor] = None,
                slots: Optional[Tensor] = None,
                views: Optional[Tuple[int, int]] = None) -> Any:
        """Run one of the three modes on a batch of persons.

        The arguments are what ``PersonDataPreprocessor`` makes.

        Args:
            inputs (Tensor): ``(P, T, V, C)``.
            data_samples (list, optional): One per clip.
            mode (str): ``'loss'``: a dict of losses. ``'tensor'``: features
                of the unmasked persons, ``(P, S, V, D)``. ``'predict'``: the
                data samples, see :meth:`predict`.
            mask (Tensor, optional): ``(P, S, V)`` bool, True = hidden; or
                ``(P * K, S, V)``, K masks of each person one after the
                other. Needed by 'loss' and 'predict', which looks at the
                first mask of each person.
            indices (TokenIndices, optional): Of the mask, if known.
            rank (Tensor, optional): Shape of ``mask``, its ranking.
            slots (Tensor, optional): ``(P,)`` place of each person in the
                flattened (clip, view, person) slots. Needed by 'predict'.
            views (tuple[int, int], optional): Views and person slots of a
                clip, ``(num_clips, M)``. Needed by 'predict'.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs)
        if mode not in ('loss', 'predict'):
            raise ValueError(f"there is no mode {mode!r}; choose 'loss', "
                             "'tensor' or 'predict'")
        mask, indices, rank = self.hide(inputs, mask, indices, rank)
        if mode == 'loss':
            return self.loss(inputs, indices, rank)
        if data_samples is None or slots is None or views is None:
            raise ValueError("mode 'predict' fills the data samples of clips: "
                             'give data_samples, slots and views')
        return self.predict(inputs, data_samples, mask, indices, rank, slots,
                            views)

    def hide(
        self,
        inputs: Tensor,
        mask: Optional[Tensor] = None,
        indices: Optional[Indices] = None,
        rank: Optional[Tensor] = None
    ) -> Tuple[Tensor, Indices, Optional[Tensor]]:
        """Which tokens are hidden: here those of the data's masks.

        Args:
            inputs (Tensor): ``(P, T, V, C)``.
            mask (Tensor, optional): See :meth:`forward`.
            indices (TokenIndices, optional): See :meth:`forward`.
            rank (Tensor, optional): See :meth:`forward`.

        Returns:
            tuple: ``mask``, ``indices`` and ``rank``.

        Raises:
            ValueError: If there is no mask, or one of another grid.
        """
        if mask is None:
            raise ValueError(
                f'{type(self).__name__} needs a mask: put a mask transform '
                "before PackActionInputs and 'mask' into its algorithm_keys")
        self._check_mask(mask)
        if indices is None:
            indices = mask_to_indices(mask)
        return mask, indices, rank

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features of unmasked persons.

        Args:
            inputs (Tensor): ``(P, T, V, C)``.

        Returns:
            Tensor: ``(P, S, V, D)``.
        """
        grid = (self.backbone.num_segments, self.backbone.num_joints)
        return self.backbone.encode(inputs).unflatten(1, grid)

    def mean_feature(self, inputs: Tensor) -> Tensor:
        """:meth:`extract_feat`, averaged over tokens: ``(P, D)``."""
        return self.extract_feat(inputs).flatten(1, -2).mean(1)

    def loss(self, inputs: Tensor, indices: Indices,
             rank: Optional[Tensor]) -> Dict[str, Tensor]:
        """Losses of a batch, see :meth:`forward`."""
        latent = self.encode_visible(inputs, indices)
        return self.reconstruction_loss(latent, inputs, indices, rank)

    def encode_visible(self, inputs: Tensor, indices: TokenIndices) -> Tensor:
        """Encode the visible tokens of every mask, ``(P * K, N, D)``."""
        num_masks = count_masks(inputs, indices.kept)
        return self.backbone.encode(
            inputs.repeat_interleave(num_masks, 0)
            if num_masks > 1 else inputs, indices.kept)

    def reconstruction_loss(self, latent: Tensor, inputs: Tensor,
                            indices: TokenIndices,
                            rank: Optional[Tensor]) -> Dict[str, Tensor]:
        """Decode the encoded tokens ``(P * K, N, D)`` and compare.

        The target is made once for all masks of a person.
        """
        queries = draw_some(indices.hidden, self.query_ratio)
        target = gather_shared(self.target(inputs), queries)
        pred = self.head(self.neck(latent, indices, rank, queries))
        return self.head.loss(pred, target)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: List[BaseDataElement],
                mask: Tensor, indices: Indices, rank: Optional[Tensor],
                slots: Tensor, views: Tuple[int,
                                            int]) -> List[BaseDataElement]:
        """Fill the data samples.

        Each gets, with (num_clips, M) in front and zeros for empty slots:
        ``present`` bool; ``mask (S, V)``; ``token_error (S, V)``, the error at
        each position; ``feature (D)``, the mean over unmasked tokens; and
        with ``keep_reconstruction`` also ``prediction`` and ``target``
        ``(S, V, D')``.
        """
        grid = mask.shape[1:]
        mask, indices, rank = first_masks(inputs, mask, indices, rank)
        target = self.target(inputs)
        pred = self.head(self.decode(inputs, indices, rank))
        fields = dict(
            present=torch.ones_like(slots, dtype=torch.bool),
            mask=mask,
            token_error=self.head.token_error(pred, target).unflatten(1, grid),
            feature=self.mean_feature(inputs))
        if self.keep_reconstruction:
            fields['prediction'] = pred.unflatten(1, grid)
            fields['target'] = target.unflatten(1, grid)
        num_slots = len(data_samples) * math.prod(views)
        for name, values in fields.items():
            out = values.new_zeros(num_slots, *values.shape[1:])
            out = out.index_copy(0, slots, values).unflatten(
                0, (len(data_samples), *views))
            for sample, value in zip(data_samples, out):
                sample.set_field(value, name)
        return data_samples

    def decode(self, inputs: Tensor, indices: Indices,
               rank: Optional[Tensor]) -> Tensor:
        """Encode the visible tokens and decode all, ``(P, S * V, D')``."""
        latent = self.backbone.encode(inputs, indices.kept)
        return self.neck(latent, indices, rank)

    @torch.no_grad()
    def inspect(self,
                inputs: Tensor,
                mask: Optional[Tensor] = None,
                indices: Optional[Indices] = None,
                rank: Optional[Tensor] = None) -> ModelView:
        """Targets, predictions and features; see :meth:`forward`."""
        mask, indices, rank = first_masks(
            inputs, *self.hide(inputs, mask, indices, rank))
        features = dict(student=self.mean_feature(inputs).float())
        if hasattr(self.target, 'inspect'):
            view = self.target.inspect(inputs)
            target, untreated = view.target, view.raw
            features['teacher'] = view.feature
        else:
            target = untreated = self.target(inputs)
        hidden, visible = self.sides(mask, indices)
        target = target.flatten(0, 1)
        decoded = self.decode(inputs, indices, rank).flatten(0, 1)
        return ModelView(untreated, target[hidden], target[visible],
                         self.head(decoded[hidden]), features)

    def sides(self, mask: Tensor,
              indices: Indices) -> Tuple[Tensor, Tensor]:
        """Which of the ``P * L`` tokens are predicted, and which are seen by
        the encoder: two bool vectors."""
        return mask.flatten(), ~mask.flatten()

    def _check_mask(self, mask: Tensor) -> None:
        segments, joints = mask.shape[1:]
        backbone = self.backbone
        if joints != backbone.num_joints:
            raise ValueError(
                f'the mask is for {joints} joints and the backbone has '
                f'{backbone.num_joints}: set num_joints={joints} in backbone '
                'and neck, or use data of the other layout')
        if segments != backbone.num_segments:
            raise ValueError(
                f'the mask is for {segments} segments of the clip and the '
                f'backbone has {backbone.num_segments}: sample clip_len='
                f'{backbone.num_segments * backbone.patch_len} frames, and '
                "give the mask transform the backbone's patch_len="
                f'{backbone.patch_len}')

    def _check_grids(self) -> None:
        """That one token is the same to backbone, neck and target."""
        ours = getattr(self.target, 'patch_len', None)
        wanted = getattr(self.backbone, 'patch_len', ours)
        if ours not in (None, wanted):
            raise ValueError(
                f'the target has patch_len={ours} and the backbone {wanted}: '
                'it would be that of other tokens; set target.patch_len='
                f'{wanted}, and head.out_dims to the width that it has then')
        for name in ('num_segments', 'num_joints'):
            ours = getattr(self.neck, name, None)
            wanted = getattr(self.backbone, name, ours)
            if ours not in (None, wanted):
                raise ValueError(
                    f'the neck has {name}={ours} and the backbone '
                    f'{wanted}: its tokens would be at other places; set '
                    f'neck.{name}={wanted}')
