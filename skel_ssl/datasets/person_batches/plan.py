# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which frames of which persons a batch is made of.

The formulas are those of the transforms that work clip by clip, in float64
where these have it; only numbers of the size (P, n) are computed here.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag


class FramePlan(NamedTuple):
    """Frames to take, and between which of them to interpolate.

    Frames are counted from the first of each person.

    Attributes:
        before (Tensor): ``(P, n)`` int64.
        after (Tensor, optional): ``(P, n)`` int64; None: frames as they are.
        weight (Tensor, optional): ``(P, n)`` float32 in [0, 1), that of
            ``after``.
    """
    before: Tensor
    after: Optional[Tensor] = None
    weight: Optional[Tensor] = None

    def take(self, frames: Tensor, start: Tensor) -> Tensor:
        """Make the persons.

        Args:
            frames (Tensor): ``(R, V, C)``, the frames of all persons.
            start (Tensor): ``(P,)`` int64, the first frame of each.

        Returns:
            Tensor: ``(P, n, V, C)``.
        """
        rows = frames.flatten(1)
        start = start[:, None]
        if self.after is None or self.weight is None:
            made = embedding(start + self.before, rows)
        else:
            # Each made frame is a weighted sum of two: so they are read and
            # added in one go, without large arrays in between.
            pairs = torch.stack([start + self.before, start + self.after], -1)
            weights = torch.stack([1 - self.weight, self.weight], -1)
            made = embedding_bag(
                pairs.flatten(0, 1),
                rows,
                per_sample_weights=weights.flatten(0, 1),
                mode='sum')
        return made.view(*self.before.shape, *frames.shape[1:])


def centre_crop(lengths: Tensor, ratio: float) -> Tuple[Tensor, Tensor]:
    """First frame and length of centre crops, ``(P,)`` int64 each.

    See :func:`~skel_ssl.datasets.transforms.geometry.centre_crop`.
    """
    cut = ((1 - ratio) * lengths.double() / 2).long()
    return cut, lengths - 2 * cut


def random_crop(lengths: Tensor, shares: Tuple[float, float],
                min_frames: int, uniform: Tensor) -> Tuple[Tensor, Tensor]:
    """First frame and length of random crops, ``(P,)`` int64 each.

    See :func:`~skel_ssl.datasets.transforms.geometry.crop_bounds`.

    Args:
        lengths (Tensor): ``(P,)`` int64, frames of each person.
        shares (tuple[float, float]): The smallest and the largest share to
            keep.
        min_frames (int): The least number of frames.
        uniform (Tensor): ``(P, 2)`` in [0, 1), for the share and the start.
    """
    low, high = shares
    share, place = uniform.double().unbind(1)
    length = (lengths * (low + (high - low) * share)).long()
    length = length.clamp(min=min_frames).minimum(lengths)
    return (place * (lengths - length + 1)).long(), length


def resize(first: Tensor, length: Tensor, num_frames: int) -> FramePlan:
    """Stretch crops to one length.

    See :func:`~skel_ssl.datasets.transforms.geometry.resize_frames`.

    Args:
        first (Tensor): ``(P,)`` int64, first frame of each crop.
        length (Tensor): ``(P,)`` int64, its length.
        num_frames (int): n.
    """
    length, first = length[:, None], first[:, None]
    steps = torch.arange(num_frames, device=length.device) + 0.5
    place = (steps.double() * length / num_frames - 0.5).clamp_(min=0)
    before = place.long()
    after = (before + 1).minimum(length - 1)
    return FramePlan(first + before, first + after, (place - before).float())


def uniform_frames(lengths: Tensor, num_frames: int,
                   uniform: Tensor) -> FramePlan:
    """One frame of each of n equal parts (MMAction2's ``_get_train_clips``).

    - Fewer than n frames: n in a row from a random one on, beginning again
      after the last.
    - n to 2 n: ``0, 1, 2, ...`` with as many frames left out as there are
      too many, at random places.
    - More: a random frame of each part.

    Args:
        lengths (Tensor): ``(P,)`` int64, frames of each person.
        num_frames (int): n.
        uniform (Tensor): ``(P, n + 1)`` in [0, 1). The first one chooses the
            start, or all choose what is left out (the places with the lowest
            numbers), or the first n choose one frame of a part each.
    """
    lengths = lengths[:, None]
    steps = torch.arange(num_frames + 1, device=lengths.device)
    numbers = uniform.double()

    start = (numbers[:, :1] * lengths).long()
    around = (start + steps[:-1]) % lengths

    order = uniform.argsort(dim=1, stable=True)
    left_out = torch.zeros_like(order).scatter_(
        1, order, (steps < lengths - num_frames).long())
    thinned = steps[:-1] + left_out.cumsum(1)[:, :-1]

    bounds = (steps * lengths).div(num_frames, rounding_mode='floor')
    sizes = bounds.diff(dim=1)
    parted = bounds[:, :-1] + (numbers[:, :-1] * sizes).long()

    few, many = lengths < num_frames, lengths >= 2 * num_frames
    return FramePlan(
        torch.where(few, around, torch.where(many, parted, thinned)))
