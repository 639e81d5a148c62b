# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Heads that read a frozen encoder: a linear probe, and the bare feature."""
from typing import Any, List, Optional

from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.batch_norm import AnyBatchNorm1d
from ..ops.pooling import pool_tokens
from .class_head import ClassHead


@MODELS.register_module()
class LinearProbeHead(ClassHead):
    """BatchNorm without affine parameters, then one linear layer.

    The protocol of the MAE family: features are pooled (see
    :func:`pool_tokens`), standardised by running statistics and classified.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Width of the pooled feature.
        readout (str): ``'mean'``, ``'joint'`` or ``'joint_std'``.
        norm_eps (float): Epsilon of the batch norm.
        average_clips (str): How clips of a sample are averaged in testing:
            ``'score'`` averages logits, ``'prob'`` probabilities.
        init_cfg (dict, optional): Initialisation; truncated normal 0.01 by
            default.
        **kwargs: Passed to MMAction2's ``BaseHead`` (``loss_cls``,
            ``label_smooth_eps``, ...).
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int = 256,
                 readout: str = 'mean',
                 norm_eps: float = 1e-5,
                 average_clips: str = 'score',
                 init_cfg: Optional[dict] = None,
                 **kwargs: Any) -> None:
        super().__init__(
            num_classes,
            in_channels,
            average_clips=average_clips,
            init_cfg=init_cfg
            or dict(type='TruncNormal', layer='Linear', std=0.01),
            **kwargs)
        self.readout = readout
        self.norm = AnyBatchNorm1d(in_channels, eps=norm_eps, affine=False)
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """``(N, M, D, S, V)`` features to ``(N, num_classes)`` logits."""
        return self.fc(self.norm(pool_tokens(x, self.readout)))


@MODELS.register_module()
class FeatureReadoutHead(BaseModule):
    """No classifier: puts the pooled feature into the data samples.

    For metrics over features, such as :class:`KNNMetric`, and for dumps.

    Args:
        readout (str): ``'mean'``, ``'joint'`` or ``'joint_std'``.
    """

    def __init__(self, readout: str = 'mean') -> None:
        super().__init__()
        self.readout = readout

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """``(N, M, D, S, V)`` features to ``(N, D')``."""
        return pool_tokens(x, self.readout)

    def predict(self, feats: Tensor, data_samples: List[BaseDataElement],
                **kwargs: Any) -> List[BaseDataElement]:
        """Set ``feature``, the mean over the clips of a sample."""
        pooled = self(feats).unflatten(0, (len(data_samples), -1)).mean(1)
        for sample, feature in zip(data_samples, pooled):
            sample.set_field(feature, 'feature')
        return data_samples
