# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which person slots of a clip are taken."""
import torch
from torch import Tensor


def present_persons(clips: Tensor) -> Tensor:
    """Which persons are there.

    A slot is empty if it is all zero, or an exact copy of slot 0, which is
    how some NTU-120 pickles fill the second one.

    Args:
        clips (Tensor): ``(..., M, T, V, C)``.

    Returns:
        Tensor: ``(..., M)`` bool.

    Raises:
        ValueError: If a coordinate is NaN or infinite; found in the same
            pass, at no extra cost.
    """
    extent = clips.abs().sum(dim=(-3, -2, -1), dtype=torch.float32)
    if not extent.isfinite().all():
        slot = (~extent.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f'NaN or infinite coordinates in the person slot {slot} of the '
            f'batch (input {tuple(clips.shape)}); mend or drop that clip: '
            "SkeletonDataset names it, and leaves it out with invalid='drop'")
    present = extent > 0
    if clips.shape[-4] > 1:
        copies = (clips[..., 1:, :, :, :] == clips[..., :1, :, :, :])
        present[..., 1:] &= ~copies.flatten(-3).all(-1)
    return present
