# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Cross masks of HA-CM (arXiv 2409.17951): two criteria on two groups.

The even segments are the temporal group, the odd ones the spatial group. In
each group the tokens are drawn by a score of its own: attention over joints
in the temporal group, the hierarchy of joints in hyperbolic space in the
spatial group. Tokens are ``(P, S, V, D)``, all numbers float32.
"""
from typing import Collection, NamedTuple, Tuple

import torch
from torch import Tensor

from .hyperbolic import ball_distance, distance_sums
from .indices import TokenIndices
from .masking import num_kept, ranks

SELECTIONS = ('keep_high', 'mask_high')


class CrossMasking(NamedTuple):
    """A mask and what follows from it.

    Attributes:
        mask (Tensor): ``(P, S, V)`` bool, True = hidden, counted in the loss.
        indices (TokenIndices): ``kept``, the tokens that are encoded, and
            ``hidden``, the positions counted in the loss. In both the
            temporal group comes first, each group in the order of its ranks.
        rank (Tensor): ``(P, S, V)`` int64, the place of each position in the
            list of the kept tokens followed by mask tokens.
    """
    mask: Tensor
    indices: TokenIndices
    rank: Tensor


def group_sizes(num_segments: int, num_joints: int,
                mask_ratio: float) -> Tuple[int, int]:
    """How many tokens of the temporal and of the spatial group are kept.

    Raises:
        ValueError: If a group is empty, or the ratio hides all or nothing
            of one.
    """
    if num_segments < 2:
        raise ValueError(
            f'{num_segments} segment(s) cannot be split into even and odd '
            'ones: give the backbone more frames or a smaller patch_len')
    spatial = num_segments // 2
    return (num_kept((num_segments - spatial) * num_joints, mask_ratio),
            num_kept(spatial * num_joints, mask_ratio))


def attention_score(query: Tensor, key: Tensor) -> Tensor:
    """How much attention each token of the temporal group draws.

    The weight that segment t gives to joint v of segment u is the softmax
    over the joints v of ``q[t, v] . k[u, v] * sqrt(D)``; the score of a token
    is the sum over t, between 0 and S.

    Args:
        query (Tensor): ``(P, S, V, D)``, projected tokens before the map
            into the ball.
        key (Tensor): ``(P, S, V, D)``.

    Returns:
        Tensor: ``(P, S, V)``.
    """
    product = query.transpose(1, 2) @ key.permute(0, 2, 3, 1)  # P, V, T, U
    weight = (product * query.shape[-1]**0.5).softmax(1)
    return weight.sum(2).transpose(1, 2)


def hierarchy_score(points: Tensor,
                    null: Tensor,
                    null_weight: float = 0.01,
                    distance_factor: float = 2.) -> Tensor:
    """How far each token of the spatial group is from the others.

    The sum of the hyperbolic distances to all joints of its segment, plus
    the weighted distance to the segment's NULL point.

    Args:
        points (Tensor): ``(P, S, V, D)`` tokens in the ball.
        null (Tensor): ``(P, S, D)``, the mean of the trunk joints in the
            ball.
        null_weight (float): Weight of the distance to the NULL point.
        distance_factor (float): See
            :func:`~skel_ssl.models.ops.hyperbolic.ball_distance`.

    Returns:
        Tensor: ``(P, S, V)``.
    """
    root = ball_distance(points, null[:, :, None], distance_factor)
    return distance_sums(points, distance_factor) + null_weight * root


def select_tokens(score: Tensor,
                  tau: float,
                  uniform: Tensor,
                  select: str = 'keep_high') -> Tensor:
    """Draw tokens without replacement, by score.

    The probability of a token is ``softmax(score / (tau * max score))``; the
    logarithm of it plus Gumbel noise ranks the tokens.

    Args:
        score (Tensor): ``(P, N)``, not negative.
        tau (float): Temperature, above 0.
        uniform (Tensor): ``(P, N)`` numbers in [0, 1).
        select (str): ``'keep_high'``: a high score is more likely to have a
            low rank, and so to stay visible; ``'mask_high'``: the reverse.

    Returns:
        Tensor: ``(P, N)`` int64, ranks; the lowest stay visible.
    """
    peak = score.amax(-1, keepdim=True)
    log_prob = (score / (tau * peak + 1e-10)).log_softmax(-1)
    noise = -torch.log(-torch.log(uniform + 1e-10) + 1e-10)
    drawn = log_prob + noise
    return ranks(-drawn if select == 'keep_high' else drawn)


def cross_mask(temporal: Tensor,
               spatial: Tensor,
               kept: Tuple[int, int],
               uniform: Tuple[Tensor, Tensor],
               tau: float = 0.9,
               select: str = 'keep_high',
               legacy: Collection[str] = ()) -> CrossMasking:
    """Draw both groups and put them together on one grid.

    Nothing here waits for the device: all sizes follow from the arguments.

    Args:
        temporal (Tensor): ``(P, S_t, V)`` scores of the even segments.
        spatial (Tensor): ``(P, S_s, V)`` scores of the odd segments; S_s is
            S_t or one less.
        kept (tuple[int, int]): How many tokens of each group stay visible.
        uniform (tuple[Tensor, Tensor]): ``(P, S_t * V)`` and
            ``(P, S_s * V)`` numbers in [0, 1).
        tau (float): See :func:`select_tokens`.
        select (str): See :func:`select_tokens`.
        legacy (Collection[str]): Slips of the public code to repeat.
            ``'A'``: temporal tokens are drawn joint by joint and placed
            segment by segment, so that they are decoded and counted at other
            positions. ``'B'``: spatial scores joint by joint steer tokens
            that are listed segment by segment. ``'C'``: the decoder reads
            the list of visible tokens with an offset of a whole group.

    Returns:
        CrossMasking: See there. With 'A', ``indices.kept`` are the encoded
        tokens, ``mask`` and ``indices.hidden`` what the loss counts; they
        are no complement of each other then.
    """
    num_joints = temporal.shape[2]
    num_segments = temporal.shape[1] + spatial.shape[1]
    grid = torch.arange(
        num_segments * num_joints, device=temporal.device).view(
            num_segments, num_joints)
    groups = ((temporal, grid[0::2], uniform[0], kept[0], 'A'),
              (spatial, grid[1::2], uniform[1], kept[1], 'B'))
    encoded, hidden, positions, places = [], [], [], []
    listed = before = 0  # visible tokens, and all tokens, of groups before
    for score, position, noise, visible, slip in groups:
        by_joint = slip in legacy
        flat = (score.transpose(1, 2) if by_joint else score).flatten(1)
        rank = select_tokens(flat, tau, noise, select)
        order = rank.argsort(1)
        # 'A' draws tokens joint by joint; with 'B' only the scores are.
        token = position.t() if by_joint and slip == 'A' else position
        token, position = token.flatten(), position.flatten()
        encoded.append(token[order[:, :visible]])
        hidden.append(position[order[:, visible:]])
        positions.append(position)
        if 'C' in legacy:
            place = rank + before
        else:  # beyond the visible tokens of both groups are mask tokens
            place = torch.where(rank < visible, rank + listed,
                                rank + sum(kept))
        places.append(place)
        listed, before = listed + visible, before + flat.shape[1]
    place = torch.cat(places, 1)
    indices = TokenIndices(torch.cat(encoded, 1), torch.cat(hidden, 1))
    mask = torch.zeros_like(place, dtype=torch.bool)
    mask = mask.scatter(1, indices.hidden, True)
    rank = torch.empty_like(place)
    rank[:, torch.cat(positions)] = place
    shape = (-1, num_segments, num_joints)
    return CrossMasking(mask.view(shape), indices, rank.view(shape))
