# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The head that the MAE family fine-tunes with."""
from typing import Any, Optional

from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.batch_norm import AnyBatchNorm1d
from ..ops.pooling import pool_tokens
from .class_head import ClassHead


@MODELS.register_module()
class FineTuneHead(ClassHead):
    """An MLP with one hidden layer over the features of all joints.

    Dropout, mean over time, joints one after the other, mean over the
    persons present (see :func:`pool_tokens`), a linear layer, batch norm,
    ReLU, and a linear classifier. The protocol of MAMP, Skeleton2vec and
    HA-CM, "2048 head".

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Width of a token, D.
        num_joints (int): Joints of the backbone's output, V.
        hidden_channels (int): Width of the hidden layer.
        dropout (float): Dropout of the tokens.
        norm_eps (float): Epsilon of the batch norm.
        average_clips (str): How clips of a sample are averaged in testing:
            ``'score'`` averages logits, ``'prob'`` probabilities.
        init_cfg (dict, optional): Initialisation; truncated normal 0.02 by
            default.
        **kwargs: Passed to MMAction2's ``BaseHead`` (``loss_cls``,
            ``label_smooth_eps``, ...).
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int = 256,
                 num_joints: int = 25,
                 hidden_channels: int = 2048,
                 dropout: float = 0.3,
                 norm_eps: float = 1e-5,
                 average_clips: str = 'score',
                 init_cfg: Optional[dict] = None,
                 **kwargs: Any) -> None:
        super().__init__(
            num_classes,
            in_channels,
            average_clips=average_clips,
            init_cfg=init_cfg
            or dict(type='TruncNormal', layer='Linear', std=0.02),
            **kwargs)
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(num_joints * in_channels, hidden_channels)
        self.norm = AnyBatchNorm1d(hidden_channels, eps=norm_eps)
        self.fc2 = nn.Linear(hidden_channels, num_classes)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """``(N, M, D, S, V)`` features to ``(N, num_classes)`` logits.

        Raises:
            ValueError: If the features have other joints or channels.
        """
        width, joints = x.shape[2], x.shape[4]
        if width * joints != self.fc1.in_features:
            raise ValueError(
                f'the features have {joints} joints of {width} channels and '
                f'the head is made for {self.fc1.in_features} values: set '
                f"the head's num_joints={joints}, in_channels={width}")
        present = (x != 0).flatten(2).any(2)
        pooled = pool_tokens(self.dropout(x), 'joint', present)
        return self.fc2(self.norm(self.fc1(pooled)).relu())
