# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Agreement between the two groups of tokens of a person (HA-CM)."""
from typing import Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS


def cross_contrast(x: Tensor, y: Tensor) -> Tensor:
    """Each person's x shall be most like its own y.

    ``mse(softmax(x y^T), identity)``, softmax over the rows, mean over all
    P * P entries: no temperature, no normalisation, and so at most 2 / P.
    Identical rows keep it above 0.

    Args:
        x (Tensor): ``(P, D)`` float32.
        y (Tensor): ``(P, D)`` float32.

    Returns:
        Tensor: Scalar; 0, connected to the graph, for one person or none.
    """
    match = (x @ y.t()).softmax(-1)
    error = (match - torch.eye(len(x), device=x.device)).square()
    return error.sum() / max(error.numel(), 1)


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all ranks in the order of ranks, however many each holds.

    Gradients reach this rank's own rows only. Every rank has the same
    loss then, so its gradient must be scaled by the number of ranks for
    DistributedDataParallel's average to be that of one process. The numbers
    of rows go through the host.

    Args:
        rows (Tensor): ``(P, D)``, the same D on all ranks.

    Returns:
        Tensor: ``(P of all ranks, D)``.
    """
    if get_world_size() == 1:
        return rows
    count = torch.tensor([len(rows)], device=rows.device)
    counts = torch.cat(all_gather(count)).tolist()
    padding = max(max(counts), 1) - len(rows)
    padded = F.pad(rows.detach(), (0, 0, 0, padding)).contiguous()
    parts = [part[:n] for part, n in zip(all_gather(padded), counts)]
    parts[get_rank()] = rows
    return torch.cat(parts)


@MODELS.register_module()
class CrossContrastLoss(BaseModule):
    """Cross-contrast of HA-CM (arXiv 2409.17951).

    a is the mean of the visible tokens of the temporal group, b that of the
    spatial group, g that of both. The other persons of the batch are the
    negatives. Float32.

    Args:
        pairs (Sequence[tuple[str, str]]): The pairs that are compared; their
            losses are added. The default is the public code's; the paper's
            figure has ``[('a', 'g'), ('b', 'g')]``.
        gather (bool): Compare with the persons of all ranks. Costs a sync
            per step. False = those of this rank, as published.

    Raises:
        ValueError: If there is no pair, or one of other names.
    """

    def __init__(self,
                 pairs: Sequence[Tuple[str, str]] = (('b', 'g'), ('a', 'g'),
                                                     ('a', 'b')),
                 gather: bool = False) -> None:
        super().__init__()
        for pair in pairs:
            if len(pair) != 2 or not set(pair) <= {'a', 'b', 'g'}:
                raise ValueError(f'{pair!r} is not a pair of the means a '
                                 '(temporal), b (spatial) and g (all)')
        if not pairs:
            raise ValueError('no pairs: leave the loss out with '
                             'contrast_weight=0 instead')
        self.pairs = tuple(tuple(pair) for pair in pairs)
        self.gather = gather

    def forward(self, temporal: Tensor, spatial: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            temporal (Tensor): ``(P, K_t, D)`` encoded tokens.
            spatial (Tensor): ``(P, K_s, D)`` encoded tokens.

        Returns:
            Tensor: Scalar float32.
        """
        with torch.autocast(temporal.device.type, enabled=False):
            temporal, spatial = temporal.float(), spatial.float()
            means = torch.cat([
                temporal.mean(1),
                spatial.mean(1),
                torch.cat([temporal, spatial], 1).mean(1)
            ], 1)
            if self.gather:
                means = gather_rows(means)
            groups = dict(zip('abg', means.chunk(3, 1)))
            loss, *rest = (
                cross_contrast(groups[x], groups[y]) for x, y in self.pairs)
            loss = sum(rest, loss)
            if self.gather:
                # The value stays; see gather_rows for the gradient.
                scaled = loss * get_world_size()
                loss = scaled - (scaled - loss).detach()
            return loss
