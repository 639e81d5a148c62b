# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Graph-based SkeletonMAE: a masked model of single frames."""
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.indices import HiddenJoints, find_hidden_joints
from ..ops.queries import draw_some
from .masked_skeleton_model import MaskedSkeletonModel


@MODELS.register_module()
class GraphSkeletonMAE(MaskedSkeletonModel):
    """Pre-training of graph-based SkeletonMAE (ICCV 2023, arXiv 2307.08476).

    Every frame of every person is a graph. The embedded joints of whole body
    parts are replaced by a mask token; no joint is left out of the graph. The
    encoder sees the joints that remain, the decoder predicts the embedded
    joints as they were. Written from the paper, which has no public code.

    Args:
        data_preprocessor (dict, optional): Defaults to
            ``FrameDataPreprocessor`` with the backbone's ``in_channels``.
        **kwargs: Arguments of :class:`MaskedSkeletonModel`: a
            ``GINEncoder``, a ``GINDecoder``, a ``JointTarget`` and a
            ``CosineErrorHead``.
    """

    def __init__(self,
                 backbone: dict,
                 data_preprocessor: Optional[dict] = None,
                 **kwargs: Any) -> None:
        super().__init__(
            backbone=backbone,
            data_preprocessor=data_preprocessor or dict(
                type='FrameDataPreprocessor',
                num_coordinates=backbone.get('in_channels', 2)),
            **kwargs)
        self.mask_token = nn.Parameter(torch.zeros(self.backbone.embed_dims))

    def init_weights(self) -> None:
        super().init_weights()
        self.target.bind(self.backbone)  # a frozen target starts from here

    def hide(
        self,
        inputs: Tensor,
        mask: Optional[Tensor] = None,
        indices: Optional[HiddenJoints] = None,
        rank: Optional[Tensor] = None
    ) -> Tuple[Tensor, HiddenJoints, Optional[Tensor]]:
        """Which joints are hidden: those of the data's masks.

        Args:
            inputs (Tensor): ``(G, V, C)``.
            mask (Tensor, optional): ``(G, V)`` bool, True = hidden.
            indices (HiddenJoints, optional): Of the mask, if known; otherwise
                all joints count as seen.
            rank (Tensor, optional): Not used by any graph decoder.

        Returns:
            tuple: ``mask``, ``indices`` and ``rank``.

        Raises:
            ValueError: If there is no mask, or one of another body.
        """
        if mask is None:
            raise ValueError(
                f"{type(self).__name__} needs a mask: put BodyPartMask before "
                "PackActionInputs and 'mask' into its algorithm_keys")
        if mask.shape[1:] != inputs.shape[1:2]:
            raise ValueError(
                f'the mask is for {tuple(mask.shape[1:])} joints and the data '
                f'have {inputs.shape[1]}: give BodyPartMask the layout= of '
                'the data and patch_len=1')
        if len(mask) != len(inputs):
            raise ValueError(
                f'{len(mask)} masks for {len(inputs)} graphs: the graph model '
                'takes one mask of each, set num_masks=1')
        if indices is None:
            indices = find_hidden_joints(mask, torch.ones_like(mask))
        return mask, indices, rank

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features of unmasked graphs, ``(G, V, C)`` to ``(G, V, D_h)``."""
        return self.backbone.encode_joints(self.backbone.embed(inputs))

    def loss(self,
             inputs: Tensor,
             indices: HiddenJoints,
             rank: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Losses of a batch, see :meth:`forward`."""
        places = draw_some(indices.positions[None], self.query_ratio)[0]
        target = self.target(inputs).flatten(0, 1)[places]
        decoded = self.decode(inputs, indices).flatten(0, 1)[places]
        counts = {}
        if getattr(self.head, 'literal', False):
            counts['counts'] = HiddenJoints(indices.mask, places).counts
        return self.head.loss(self.head(decoded), target, **counts)

    def decode(self,
               inputs: Tensor,
               indices: HiddenJoints,
               rank: Optional[Tensor] = None) -> Tensor:
        """Encode and decode the masked graphs, ``(G, V, D)``."""
        joints = self.backbone.embed(inputs)
        masked = torch.where(indices.mask[..., None],
                             self.mask_token.to(joints.dtype), joints)
        return self.neck(self.backbone.encode_joints(masked), indices.mask)

    def sides(self, mask: Tensor,
              indices: HiddenJoints) -> Tuple[Tensor, Tensor]:
        """As the base class; hidden joints that were not seen are on neither
        side."""
        hidden = torch.zeros_like(mask).flatten()
        hidden[indices.positions] = True
        return hidden, ~mask.flatten()
