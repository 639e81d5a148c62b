# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""HA-CM: a masked model that makes its masks from its own tokens."""
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.cross_masking import CrossMasking
from ..ops.indices import TokenIndices
from .masked_skeleton_model import MaskedSkeletonModel


@MODELS.register_module()
class CrossMaskedModel(MaskedSkeletonModel):
    """Cross masking and cross-contrast (HA-CM, arXiv 2409.17951).

    The masks come from the embedded tokens, so they are made here and not in
    the data pipeline. Besides the reconstruction, the means of the two groups
    of visible tokens are compared between persons.

    Args:
        mask_generator (dict): Such as ``CrossMask``.
        contrast (dict, optional): Defaults to ``CrossContrastLoss``.
        rec_weight (float): Weight of the reconstruction.
        contrast_weight (float): Weight of the cross-contrast.
        alpha (float, optional): The weights as the paper's figure has them,
            ``contrast_weight=alpha`` and ``rec_weight=1 - alpha``, in place
            of the two.
        **kwargs: Arguments of :class:`MaskedSkeletonModel`. The backbone is
            a ``HyperbolicSkeletonTransformer``.

    Raises:
        ValueError: If the weights are given twice or are no weights, the
            groups are too small for the mask ratio, or the neck does not fit
            the mask generator's ``legacy_order``.
    """
    makes_masks = True

    def __init__(self,
                 mask_generator: dict,
                 contrast: Optional[dict] = None,
                 rec_weight: float = 1.,
                 contrast_weight: float = 1.,
                 alpha: Optional[float] = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if alpha is not None:
            if (rec_weight, contrast_weight) != (1., 1.):
                raise ValueError(f'alpha={alpha} stands for both weights: '
                                 'leave rec_weight and contrast_weight out')
            rec_weight, contrast_weight = 1 - alpha, alpha
        if min(rec_weight, contrast_weight) < 0:
            raise ValueError(f'rec_weight={rec_weight} and contrast_weight='
                             f'{contrast_weight} must not be negative')
        self.rec_weight = rec_weight
        self.contrast_weight = contrast_weight
        self.mask_generator = MODELS.build(mask_generator)
        self.contrast = MODELS.build(
            contrast or dict(type='CrossContrastLoss'))
        self.num_kept = self.mask_generator.num_kept(
            self.backbone.num_segments, self.backbone.num_joints)
        by_rank = getattr(self.neck, 'unshuffle', None) == 'rank'
        if self.mask_generator.legacy and not by_rank:
            raise ValueError(
                'legacy_order misplaces tokens in the decoder: give the neck '
                "unshuffle='rank'")

    @torch.no_grad()
    def hide(
            self,
            inputs: Tensor,
            mask: Optional[Tensor] = None,
            indices: Optional[TokenIndices] = None,
            rank: Optional[Tensor] = None,
            uniform: Optional[Tuple[Tensor, Tensor]] = None) -> CrossMasking:
        """Make the masks of a batch from its tokens, in float32.

        Args:
            inputs (Tensor): ``(P, T, V, C)``.
            mask (Tensor, optional): Refused, as ``indices`` and ``rank``.
            indices (TokenIndices, optional): See ``mask``.
            rank (Tensor, optional): See ``mask``.
            uniform (tuple[Tensor, Tensor], optional): Random numbers to use,
                see :class:`CrossMask`.

        Raises:
            ValueError: If the clips bring masks along.
        """
        if mask is not None or indices is not None or rank is not None:
            raise ValueError(
                f'{type(self).__name__} makes its masks itself and the clips '
                'have masks, too: remove the mask transform, and the masks '
                'from algorithm_keys')
        grid = (self.backbone.num_segments, self.backbone.num_joints)
        with torch.autocast(inputs.device.type, enabled=False):
            tokens = self.backbone.flat_tokens(inputs).unflatten(1, grid)
            null = self.backbone.null_points(inputs)
        return self.mask_generator(tokens, null, uniform)

    def loss(self, inputs: Tensor, indices: TokenIndices,
             rank: Optional[Tensor]) -> Dict[str, Tensor]:
        """Losses of a batch: ``loss_rec`` and ``loss_contrast``, weighted.

        ``indices`` are those of :meth:`hide`: the temporal group first.
        """
        latent = self.encode_visible(inputs, indices)
        rec = self.reconstruction_loss(latent, inputs, indices, rank)['loss']
        # Another mask of the same person is no negative.
        masks = self.mask_generator.num_masks
        contrast = sum(
            self.contrast(*latent[i::masks].split(self.num_kept, dim=1))
            for i in range(masks)) / masks
        return dict(
            loss_rec=self.rec_weight * rec,
            loss_contrast=self.contrast_weight * contrast)
