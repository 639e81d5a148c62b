# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Which hidden tokens are predicted, and several masks of one person."""
from typing import Optional, Tuple

import torch
from torch import Tensor

from .indices import TokenIndices


def draw_some(positions: Tensor, ratio: float) -> Tensor:
    """Choose a share of the positions of each row at random.

    Args:
        positions (Tensor): ``(P, H)``.
        ratio (float): In (0, 1]; at least one position is left. 1 leaves
            everything as it is and draws nothing.

    Returns:
        Tensor: ``(P, round(ratio * H))``, in random order.
    """
    if ratio == 1:
        return positions
    number = max(round(ratio * positions.shape[1]), 1)
    score = torch.rand(positions.shape, device=positions.device)
    return positions.gather(1, score.argsort(1)[:, :number])


def count_masks(persons: Tensor, rows: Tensor) -> int:
    """How many masks each person has, K.

    Args:
        persons (Tensor): ``(P, ...)``.
        rows (Tensor): ``(P * K, ...)``, something of every mask; those of a
            person one after the other.

    Raises:
        ValueError: If the rows are no multiple of the persons.
    """
    if len(rows) == len(persons):
        return 1
    if len(persons) == 0 or len(rows) % len(persons):
        raise ValueError(f'{len(rows)} masks for {len(persons)} persons: each '
                         'person needs the same number of masks')
    return len(rows) // len(persons)


def gather_shared(tokens: Tensor, index: Tensor) -> Tensor:
    """Pick tokens for several masks of a person from the one set of tokens.

    Args:
        tokens (Tensor): ``(P, L, D)``.
        index (Tensor): ``(P * K, Q)`` int64; K rows of a person one after
            the other.

    Returns:
        Tensor: ``(P * K, Q, D)``.
    """
    width = tokens.shape[-1]
    number = count_masks(tokens, index) * index.shape[1]
    rows = index.reshape(len(tokens), number, 1).expand(-1, -1, width)
    return tokens.gather(1, rows).view(*index.shape, width)


def first_masks(
    persons: Tensor, mask: Tensor, indices: TokenIndices,
    rank: Optional[Tensor]
) -> Tuple[Tensor, TokenIndices, Optional[Tensor]]:
    """Keep the first of each person's masks.

    Args:
        persons (Tensor): ``(P, ...)``.
        mask (Tensor): ``(P * K, S, V)``.
        indices (TokenIndices): Of the masks.
        rank (Tensor, optional): Their rankings.

    Returns:
        tuple: The three, with P rows.
    """
    step = count_masks(persons, mask)
    if step == 1:
        return mask, indices, rank
    first = TokenIndices(*(part[::step] for part in indices))
    return mask[::step], first, None if rank is None else rank[::step]
