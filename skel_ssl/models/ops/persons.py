# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which person slots of a clip are taken."""
from typing import Tuple

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


def split_scores(persons: Tensor,
                 num_coordinates: int) -> Tuple[Tensor, Tensor]:
    """Take the scores of detected joints away from their coordinates.

    Args:
        persons (Tensor): ``(..., V, C)``; ``C - 1`` coordinates and a score,
            or C coordinates.
        num_coordinates (int): How many of the channels are coordinates.

    Returns:
        tuple[Tensor, Tensor]: Coordinates ``(..., V, num_coordinates)``, and
        which joints are seen, ``(..., V)`` bool: those with a score above
        zero; without scores all joints of a frame in which a coordinate is
        not zero.

    Raises:
        ValueError: If the channels are neither.
    """
    channels = persons.shape[-1]
    if channels == num_coordinates + 1:
        return persons[..., :-1], persons[..., -1] > 0
    if channels == num_coordinates:
        there = persons.flatten(-2).ne(0).any(-1, keepdim=True)
        return persons, there.expand(persons.shape[:-1])
    raise ValueError(
        f'the joints have {channels} channels and the model is made for '
        f'{num_coordinates} coordinates, with or without a score: set '
        f'in_channels={channels}, or see to the data')
