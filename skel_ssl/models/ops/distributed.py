# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Means over what all ranks hold together."""
import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def global_mean(values: Tensor) -> Tensor:
    """Mean over the values of all ranks, however many each of them holds.

    The result's value is the mean over all ranks. Its gradient is scaled so
    that DistributedDataParallel's average over ranks gives the gradient of
    one process on the same global batch. A rank without values takes part
    with a zero that is connected to the graph; without any value at all the
    mean is 0.

    Args:
        values (Tensor): Any shape, float32; may be empty.

    Returns:
        Tensor: Scalar.
    """
    total = values.sum()
    if get_world_size() == 1:
        return total / max(values.numel(), 1)
    sums = torch.stack([total.detach(), total.new_tensor(values.numel())])
    all_reduce(sums)
    mean, count = sums[0] / sums[1].clamp(min=1), sums[1].clamp(min=1)
    local = total * (get_world_size() / count)
    return local + (mean - local).detach()
