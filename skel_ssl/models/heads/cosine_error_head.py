# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The re-weighted cosine error of graph-based SkeletonMAE."""
from typing import Dict, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.distributed import global_mean
from .regression_head import check_widths


@MODELS.register_module()
class CosineErrorHead(BaseModule):
    """``(1 - cos)^beta`` between prediction and target, in float32.

    Graph-based SkeletonMAE, equation 2 (arXiv 2307.08476). It has no
    parameters: the decoder's output is what is compared.

    Args:
        beta (float): Exponent; above 1, joints that are nearly right count
            less.
        literal (bool): The scale that the paper prints: the terms of a
            graph are divided by its number n of hidden joints inside of the
            power, and summed. That is ``n^(1 - beta)`` times their mean.

    Raises:
        ValueError: If ``beta`` is below 1: the gradient would be infinite
            where nothing is wrong.
    """

    def __init__(self, beta: float = 2., literal: bool = False) -> None:
        super().__init__()
        if not beta >= 1:
            raise ValueError(f'beta={beta} must be 1 or more')
        self.beta = beta
        self.literal = literal

    def forward(self, tokens: Tensor) -> Tensor:
        """The decoded tokens ``(..., D)``, as they are."""
        return tokens

    def token_error(self, pred: Tensor, target: Tensor) -> Tensor:
        """Error of each token, ``(..., D)`` to ``(...)`` float32 from 0 to
        ``2^beta``.

        Raises:
            ValueError: If predictions and targets differ in shape.
        """
        check_widths(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            cosine = F.cosine_similarity(
                pred.float(), target.float(), dim=-1, eps=1e-12)
            # Rounding can put it a little above 1.
            return (1 - cosine).clamp(min=0).pow(self.beta)

    def loss(self,
             pred: Tensor,
             target: Tensor,
             counts: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Mean over the hidden joints of all ranks.

        Args:
            pred (Tensor): ``(H, D)``.
            target (Tensor): ``(H, D)``.
            counts (Tensor, optional): ``(H,)``, how many joints are hidden
                in the graph of each. Needed with ``literal``.

        Returns:
            dict[str, Tensor]: ``loss``, a scalar.
        """
        error = self.token_error(pred, target)
        if not self.literal:
            return dict(loss=global_mean(error))
        assert counts is not None
        share = 1 / counts.float()  # adds up to the number of graphs
        terms = global_mean(error * share**self.beta)
        return dict(loss=terms / global_mean(share).clamp(min=1e-12))
