# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Regress the target at the hidden positions."""
from typing import Dict, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.distributed import global_mean

LOSSES = {
    'mse': F.mse_loss,
    'l1': F.l1_loss,
    'smooth_l1': F.smooth_l1_loss,
}


def check_widths(pred: Tensor, target: Tensor) -> None:
    """Raise a ValueError if predictions and targets differ in shape: they
    would be compared all the same where one of them has a size of 1."""
    if pred.shape != target.shape:
        raise ValueError(
            f'the predictions are {tuple(pred.shape)} and the targets '
            f'{tuple(target.shape)}: set the out_dims of the head (or, if it '
            'has none, of the neck) to the width of the target, '
            f'{target.shape[-1]}')


@MODELS.register_module()
class RegressionHead(BaseModule):
    """A linear map to the target's width, and a pointwise loss.

    Args:
        in_dims (int): Width of the decoder.
        out_dims (int): Width of the target.
        loss (str): ``'mse'``, ``'l1'`` or ``'smooth_l1'``.
        init_cfg (dict | list[dict], optional): Initialisation.
    """

    def __init__(self,
                 in_dims: int = 256,
                 out_dims: int = 256,
                 loss: str = 'mse',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            init_cfg=init_cfg
            or dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.))
        if loss not in LOSSES:
            raise ValueError(f'there is no loss {loss!r}; choose one of '
                             f'{sorted(LOSSES)}')
        self.loss_name = loss
        self.fc = nn.Linear(in_dims, out_dims)

    def forward(self, tokens: Tensor) -> Tensor:
        """Decoded tokens ``(P, H, D)`` to predictions ``(P, H, D')``."""
        return self.fc(tokens)

    def token_error(self, pred: Tensor, target: Tensor) -> Tensor:
        """Error of each token, ``(P, H)`` float32.

        Raises:
            ValueError: If predictions and targets differ in shape.
        """
        check_widths(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            error = LOSSES[self.loss_name](
                pred.float(), target.float(), reduction='none')
            return error.mean(-1)

    def loss(self, pred: Tensor, target: Tensor) -> Dict[str, Tensor]:
        """Mean over the hidden tokens of the persons of all ranks.

        Args:
            pred (Tensor): ``(P, H, D')`` predictions.
            target (Tensor): ``(P, H, D')`` targets.

        Returns:
            dict[str, Tensor]: ``loss``, a scalar.
        """
        return dict(loss=global_mean(self.token_error(pred, target)))
