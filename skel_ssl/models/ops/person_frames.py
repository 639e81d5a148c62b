# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The frames in which persons are seen, and the way back to clips."""
from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor


@dataclass(frozen=True)
class PersonFrames:
    """Which frames of which persons a batch of graphs is.

    G graphs, of P persons that are seen in at least one of T frames, from
    clips (N, M, T).

    Attributes:
        present (Tensor): ``(N, M)`` bool, the persons.
        persons (Tensor): ``(P,)`` int64, their places in the flattened (N,
            M).
        seen (Tensor): ``(P, T)`` bool.
        frames (Tensor, optional): ``(G,)`` int64, the places of the graphs
            in the flattened (P, T); None if every person is seen in every
            frame.
    """
    present: Tensor
    persons: Tensor
    seen: Tensor
    frames: Optional[Tensor]

    @classmethod
    def of(cls, there: Tensor) -> 'PersonFrames':
        """From ``(N, M, T)`` bool, whether a person is seen in a frame."""
        present = there.any(-1)
        persons = present.flatten().nonzero()[:, 0]
        return cls._of_seen(present, persons, there.flatten(0, 1)[persons])

    @classmethod
    def _of_seen(cls, present: Tensor, persons: Tensor,
                 seen: Tensor) -> 'PersonFrames':
        frames = seen.flatten().nonzero()[:, 0]
        everywhere = len(frames) == seen.numel()
        return cls(present, persons, seen, None if everywhere else frames)

    @property
    def slot(self) -> Tensor:
        """``(G,)``, the person slot of each graph, 0 to M - 1."""
        slot = self.persons.remainder(self.present.shape[1])
        return self.take(slot[:, None].expand(self.seen.shape))

    def strided(self, stride: int) -> 'PersonFrames':
        """Every ``stride``-th frame; who is seen in none of them is absent
        from the clip."""
        if stride == 1:
            return self
        seen = self.seen[:, ::stride]
        present = torch.zeros_like(self.present).flatten()
        present = present.index_copy(0, self.persons, seen.any(1))
        return self._of_seen(present.view_as(self.present), self.persons, seen)

    def pick(self, clips: Tensor) -> Tensor:
        """``(N, M, T, ...)`` to ``(G, ...)``."""
        return self.take(clips.flatten(0, 1)[self.persons])

    def take(self, grid: Tensor) -> Tensor:
        """``(P, T, ...)`` to ``(G, ...)``."""
        graphs = grid.flatten(0, 1)
        return graphs if self.frames is None else graphs[self.frames]

    def place(self, graphs: Tensor) -> Tensor:
        """``(G, ...)`` to ``(P, T, ...)``, zero where nobody is seen."""
        if self.frames is not None:
            grid = graphs.new_zeros(self.seen.numel(), *graphs.shape[1:])
            graphs = grid.index_copy(0, self.frames, graphs)
        return graphs.unflatten(0, self.seen.shape)

    def sum_persons(self, graphs: Tensor) -> Tensor:
        """Add up the persons of a clip frame by frame, ``(G, D)`` to ``(G,
        D)``."""
        num_clips, num_persons = self.present.shape
        clip = self.persons.div(num_persons, rounding_mode='floor')
        grid = self.place(graphs)
        total = grid.new_zeros(num_clips, *grid.shape[1:])
        return self.take(total.index_add(0, clip, grid)[clip])

    def to_slots(self, grid: Tensor) -> Tensor:
        """``(P, ...)`` to ``(N, M, ...)``.

        An absent person's slot gets the mean of the clip's persons, zero if
        there is nobody.
        """
        slots = grid.new_zeros(self.present.numel(), *grid.shape[1:])
        slots = slots.index_copy(0, self.persons, grid)
        slots = slots.unflatten(0, self.present.shape)
        if self.frames is None and len(self.persons) == self.present.numel():
            return slots
        present = self.present.view(*self.present.shape,
                                    *[1] * (grid.ndim - 1))
        there = torch.where(present, slots, torch.zeros_like(slots))
        mean = there.sum(1, keepdim=True) / present.sum(
            1, keepdim=True).clamp(min=1)
        return torch.where(present, slots, mean)
