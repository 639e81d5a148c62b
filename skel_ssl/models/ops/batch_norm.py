# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A batch norm for the last batch of an epoch, whatever its size."""
import torch.nn.functional as F
from torch import Tensor, nn


class AnyBatchNorm1d(nn.BatchNorm1d):
    """PyTorch's, which takes a batch of one sample in training, too.

    One sample has no spread, and PyTorch raises. It is normalised by the
    running statistics, as in evaluation, and leaves them as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C)`` to ``(N, C)``."""
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var,
                                self.weight, self.bias, eps=self.eps)
        return super().forward(x)
