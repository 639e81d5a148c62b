# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Backbones without steps that depend on the data, for export."""
from functools import singledispatch

import torch
from torch import Tensor, nn

from skel_ssl.models.backbones import STRL, GINEncoder, SkeletonTransformer
from skel_ssl.models.backbones.strl import pyramid
from skel_ssl.models.ops.persons import split_scores


def occupied_slots(clips: Tensor) -> Tensor:
    """:func:`present_persons` without a look at the values.

    A graph cannot raise an error, so a slot with a NaN counts as taken, and
    its NaN comes out at the other end.

    Args:
        clips (Tensor): ``(N, M, T, V, C)``.

    Returns:
        Tensor: ``(N, M)`` bool.
    """
    extent = clips.abs().sum(dim=(-3, -2, -1), dtype=torch.float32)
    copies = (clips[:, 1:] == clips[:, :1]).flatten(2).all(-1)
    first = torch.zeros_like(extent[:, :1], dtype=torch.bool)
    return (extent != 0) & ~torch.cat([first, copies], dim=1)


@singledispatch
def static_features(backbone: nn.Module, clips: Tensor) -> Tensor:
    """``backbone(clips)``, the same operations whoever is in the clips.

    Our backbones do not compute empty slots, and how many there are depends
    on the data. Here all are computed, and what the backbone would have left
    out is made zero afterwards. Other backbones are called as they are.

    Args:
        backbone (nn.Module): In eval mode.
        clips (Tensor): ``(N, M, T, V, C)``.

    Returns:
        Tensor: ``(N, M, D, S, V)``.

    Raises:
        ValueError: If the backbone has no such form.
    """
    return backbone(clips)


@static_features.register
def _(backbone: SkeletonTransformer, clips: Tensor) -> Tensor:
    tokens = backbone.encode(clips.flatten(0, 1))
    if backbone.skip_empty_persons:
        taken = occupied_slots(clips).flatten()[:, None, None]
        tokens = torch.where(taken, tokens, 0.)
    grid = tokens.unflatten(1, (backbone.num_segments, backbone.num_joints))
    return grid.permute(0, 3, 1, 2).unflatten(0, (-1, clips.shape[1]))


@static_features.register
def _(backbone: GINEncoder, clips: Tensor) -> Tensor:
    coordinates, seen = backbone.split(clips)
    there = seen.any(-1) & occupied_slots(clips)[..., None]
    feats = backbone.encode_joints(backbone.embed(coordinates))
    feats = torch.where(there[..., None, None], feats, 0.)
    return feats.permute(0, 1, 4, 2, 3)


class _AllFrames:
    """All frames of all slots, with the methods of :class:`PersonFrames`.

    Args:
        there (Tensor): ``(N, M, T)`` bool, whether a person is seen.
    """

    def __init__(self, there: Tensor) -> None:
        self.there = there

    def strided(self, stride: int) -> '_AllFrames':
        return _AllFrames(self.there[:, :, ::stride])

    def take(self, grid: Tensor) -> Tensor:
        """``(N * M, T, ...)`` to ``(N * M * T, ...)``."""
        return grid.flatten(0, 1)

    def place(self, graphs: Tensor) -> Tensor:
        """``(N * M * T, ...)`` to ``(N * M, T, ...)``, zero where nobody is
        seen."""
        grid = graphs.unflatten(0, (-1, self.there.shape[2]))
        seen = self.there.flatten(0, 1)
        return torch.where(_widen(seen, grid.ndim), grid, 0.)

    def sum_persons(self, graphs: Tensor) -> Tensor:
        """``(N * M * T, D)``, added up over the persons of a clip."""
        slots = self.place(graphs).unflatten(0, (-1, self.there.shape[1]))
        return slots.sum(1, keepdim=True).expand_as(slots).flatten(0, 2)

    def to_slots(self, grid: Tensor) -> Tensor:
        """``(N * M, ...)`` to ``(N, M, ...)``, see :class:`PersonFrames`."""
        slots = grid.unflatten(0, (-1, self.there.shape[1]))
        present = _widen(self.there.any(-1), slots.ndim)
        total = torch.where(present, slots, 0.).sum(1, keepdim=True)
        mean = total / present.sum(1, keepdim=True).clamp(min=1)
        return torch.where(present, slots, mean)


def _widen(flags: Tensor, ndim: int) -> Tensor:
    return flags.reshape(*flags.shape, *[1] * (ndim - flags.ndim))


@static_features.register
def _(backbone: STRL, clips: Tensor) -> Tensor:
    if backbone.num_slots is not None:
        raise ValueError(
            'STRL with share_person_encoder=False sorts its graphs by person, '
            'which has no static form: export one with '
            'share_person_encoder=True')
    coordinates, seen = split_scores(clips, backbone.in_channels)
    there = seen.any(-1) & occupied_slots(clips)[..., None]
    if not backbone.skip_empty_persons:
        there = torch.ones_like(there)
    frames = _AllFrames(there)
    h = backbone.joint_embed(coordinates) + backbone.pos_embed
    h = h.flatten(0, 2)
    for block in backbone.blocks:
        h, frames = block(h, frames)
    grid = frames.place(h)
    if backbone.final is not None:
        seen = _widen(frames.there.flatten(0, 1), grid.ndim)
        grid = torch.where(seen, backbone.final(grid), 0.)
    if backbone.temporal == 'pyramid':
        grid = pyramid(grid)
    return frames.to_slots(grid).permute(0, 1, 4, 2, 3)


class StaticModel(nn.Module):
    """A backbone in its static form, and a head; what is exported.

    Args:
        backbone (nn.Module): See :func:`static_features`.
        head (nn.Module): ``(N, M, D, S, V)`` features to anything.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        # Chosen here: a tracer cannot follow the choice.
        self.features = static_features.dispatch(type(backbone))

    def forward(self, keypoint: Tensor) -> Tensor:
        """Clips ``(N, M, T, V, C)`` to what the head makes of them."""
        return self.head(self.features(self.backbone, keypoint).contiguous())
