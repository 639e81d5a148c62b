# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Masks: which tokens of a person are hidden.

Every function is batched over persons, works on any device and takes its
random numbers as an argument on request, so that a mask can be replayed. A
mask is boolean ``(P, S, V)``, True = hidden, with the same number of hidden
tokens in each row, except where body parts of different sizes are chosen at
random.
"""
from typing import NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor


class Masking(NamedTuple):
    """A mask and the ranking that made it.

    Attributes:
        mask (Tensor): ``(P, S, V)`` bool, True = hidden.
        rank (Tensor, optional): ``(P, S, V)`` int64. Tube masks: rank of a
            joint's score among the joints of its segment. Token masks: rank
            among all tokens of the person. The lowest ranks are visible.
            None if it was not asked for.
    """
    mask: Tensor
    rank: Optional[Tensor]


def num_kept(num: int, mask_ratio: float) -> int:
    """How many of ``num`` stay visible: ``int(num * (1 - mask_ratio))``.

    The float expression is the published one, rounding included: a ratio of
    0.9 keeps 2 of 25 joints (92 % are hidden) and 74 of 750 tokens.

    Raises:
        ValueError: If nothing or everything would stay visible.
    """
    kept = int(num * (1 - mask_ratio))
    if not 0 < kept < num:
        fate = 'everything' if kept <= 0 else 'nothing'
        raise ValueError(
            f'mask_ratio={mask_ratio} hides {fate} of {num} candidates '
            f'(int({num} * (1 - {mask_ratio})) = {kept} would stay visible); '
            f'choose one between {1 / num:.3g} and {1 - 1 / num:.3g}')
    return kept


def ranks(score: Tensor) -> Tensor:
    """Rank of each entry along the last axis, 0 = lowest; ties by position."""
    order = score.argsort(dim=-1, stable=True)
    places = torch.arange(score.shape[-1], device=score.device)
    return torch.empty_like(order).scatter_(-1, order, places.expand_as(order))


def lowest(score: Tensor, count: int) -> Tensor:
    """Which entries are the ``count`` lowest along the last axis.

    The same as ``ranks(score) < count``, for a fraction of the time.
    """
    limit = score.topk(count, largest=False, sorted=False).values
    limit = limit.amax(-1, keepdim=True)
    below, tied = score < limit, score == limit
    room = count - below.sum(-1, keepdim=True)
    return below | (tied & (tied.cumsum(-1) <= room))


def _choose(score: Tensor, kept: int, shape: Tuple[int, ...],
            with_rank: bool) -> Masking:
    """Hide all but the tokens with the lowest scores, ``(P, S * V)``."""
    if not with_rank:
        return Masking(mask=~lowest(score, kept).view(shape), rank=None)
    rank = ranks(score).view(shape)
    return Masking(mask=rank >= kept, rank=rank)


def frame_motion(persons: Tensor, stride: int = 1) -> Tensor:
    """Forward differences in time, zero in the last ``stride`` frames.

    Args:
        persons (Tensor): ``(P, T, V, C)``.
        stride (int): Frames between the two that are compared.

    Returns:
        Tensor: ``(P, T, V, C)``.
    """
    motion = torch.zeros_like(persons)
    motion[:, :-stride] = persons[:, stride:] - persons[:, :-stride]
    return motion


def count_segments(num_frames: int, patch_len: int) -> int:
    """Into how many patches the frames are cut.

    Raises:
        ValueError: If ``num_frames`` is not a multiple of ``patch_len``.
    """
    if num_frames % patch_len:
        raise ValueError(f'{num_frames} frames cannot be cut into patches of '
                         f'{patch_len}: sample a multiple of it')
    return num_frames // patch_len


def _token_means(patches: Tensor) -> Tensor:
    """``patches.mean((2, 4))`` of ``(P, S, L, V, C)``, but for rounding, and
    in a fraction of the time."""
    first, *rest = patches.mean(2).unbind(-1)
    return sum(rest, first) / patches.shape[-1]


def motion_intensity(persons: Tensor, patch_len: int) -> Tensor:
    """Mean absolute motion of each token.

    Args:
        persons (Tensor): ``(P, T, V, C)`` float.
        patch_len (int): Frames of a token.

    Returns:
        Tensor: ``(P, S, V)`` with ``S = T / patch_len``.

    Raises:
        ValueError: If T is not a multiple of ``patch_len``.
    """
    num_segments = count_segments(persons.shape[1], patch_len)
    motion = frame_motion(persons).abs()
    return _token_means(motion.unflatten(1, (num_segments, patch_len)))


def patch_motion(persons: Tensor, patch_len: int) -> Tensor:
    """Mean absolute difference of each token to the one before (MAMP).

    Neighbouring patches are compared frame by frame, so frames that are
    ``patch_len`` apart; the first patch takes the value of the second.

    Args:
        persons (Tensor): ``(P, T, V, C)`` float.
        patch_len (int): Frames of a token.

    Returns:
        Tensor: ``(P, S, V)``.

    Raises:
        ValueError: If T is not a multiple of ``patch_len``, or there is but
            one patch.
    """
    num_segments = count_segments(persons.shape[1], patch_len)
    if num_segments < 2:
        raise ValueError(f'{persons.shape[1]} frames are one patch of '
                         f'{patch_len}: motion between patches needs two')
    patches = persons.unflatten(1, (num_segments, patch_len))
    motion = _token_means(patches.diff(dim=1).abs())
    return torch.cat([motion[:, :1], motion], dim=1)


def motion_aware_mask(intensity: Tensor,
                      mask_ratio: float = 0.9,
                      tau: float = 0.8,
                      uniform: Optional[Tensor] = None,
                      with_rank: bool = True) -> Masking:
    """Hide tokens that move, by sampling without replacement (MAMP).

    The probability of a token is ``softmax(intensity / (tau * max
    intensity))`` over all tokens of the person; the logarithm of it plus
    Gumbel noise ranks the tokens, and the lowest stay visible. Without
    motion the choice is uniform.

    Args:
        intensity (Tensor): ``(P, S, V)``, see :func:`patch_motion`.
        mask_ratio (float): Share of the S * V tokens to hide, see
            :func:`num_kept`.
        tau (float): Temperature; 0 or less = uniform, as
            :func:`random_mask`.
        uniform (Tensor, optional): ``(P, S * V)`` numbers in [0, 1). Drawn
            here if not given.
        with_rank (bool): Whether to give the ranks, which take a sort.

    Returns:
        Masking: The mask, and each token's rank among all of the person.
    """
    shape = intensity.shape
    flat = intensity.flatten(1)
    kept = num_kept(flat.shape[1], mask_ratio)
    if uniform is None:
        uniform = torch.rand_like(flat)
    score = uniform
    if tau > 0:
        peak = flat.amax(1, keepdim=True)
        prob = (flat / (tau * peak + 1e-10)).softmax(1)
        noise = -torch.log(-torch.log(uniform + 1e-10) + 1e-10)
        score = prob.log() + noise
    return _choose(score, kept, shape, with_rank)


def tube_mask(intensity: Tensor,
              mask_ratio: float = 0.9,
              tube_len: int = 5,
              beta: float = 0.1,
              uniform: Optional[Tensor] = None) -> Masking:
    """Motion-aware tubes (Skeleton2vec, arXiv 2401.00921, section 3.3).

    Time is cut into tubes of ``tube_len`` segments. In each tube the same
    joints are visible all along: those with the lowest
    ``U + beta * intensity / max intensity of the tube``. Joints that move are
    hidden more often; without motion, or with ``beta=0``, the choice is
    uniform.

    Args:
        intensity (Tensor): ``(P, S, V)``, see :func:`motion_intensity`.
        mask_ratio (float): Share of the joints to hide, see
            :func:`num_kept`.
        tube_len (int): Segments of a tube (the paper's alpha).
        beta (float): Weight of the motion prior (the paper's beta).
        uniform (Tensor, optional): ``(P, S / tube_len, V)`` numbers in
            [0, 1) to use as U. Drawn here if not given.

    Returns:
        Masking: The mask, and each joint's rank within its tube.

    Raises:
        ValueError: If S is not a multiple of ``tube_len`` or the ratio hides
            all joints or none.
    """
    _, num_segments, num_joints = intensity.shape
    kept = num_kept(num_joints, mask_ratio)
    if num_segments % tube_len:
        raise ValueError(
            f'{num_segments} segments cannot be cut into tubes of '
            f'{tube_len}: choose a divisor of {num_segments} as tube_len')
    tubes = intensity.unflatten(1, (-1, tube_len)).mean(2)
    tubes = tubes / (tubes.amax(-1, keepdim=True) + 1e-6)
    if uniform is None:
        uniform = torch.rand_like(tubes)
    rank = ranks(uniform + beta * tubes).repeat_interleave(tube_len, dim=1)
    return Masking(mask=rank >= kept, rank=rank)


def random_mask(num_persons: int,
                num_segments: int,
                num_joints: int,
                mask_ratio: float = 0.9,
                uniform: Optional[Tensor] = None,
                with_rank: bool = True) -> Masking:
    """Hide tokens uniformly at random (MAE).

    Args:
        num_persons (int): P.
        num_segments (int): S.
        num_joints (int): V.
        mask_ratio (float): Share of the S * V tokens to hide, see
            :func:`num_kept`.
        uniform (Tensor, optional): ``(P, S * V)`` numbers in [0, 1). The
            tokens with the lowest stay visible. Drawn here if not given.
        with_rank (bool): Whether to give the ranks, which take a sort.

    Returns:
        Masking: The mask, and each token's rank among all of the person.
    """
    kept = num_kept(num_segments * num_joints, mask_ratio)
    if uniform is None:
        uniform = torch.rand(num_persons, num_segments * num_joints)
    return _choose(uniform, kept, (num_persons, num_segments, num_joints),
                   with_rank)


def hidden_range(num_hidden: Union[int, Sequence[int]], num: int,
                 what: str) -> Tuple[int, int]:
    """How many of ``num`` are hidden, as ``(lowest, highest)``.

    Args:
        num_hidden (int | Sequence[int]): A number, or the lowest and the
            highest, both of which may occur.
        num (int): Number of candidates.
        what (str): What they are, for the error.

    Raises:
        ValueError: If nothing or everything could be hidden, or there are
            not two numbers in order.
    """
    both = (tuple(num_hidden) if isinstance(num_hidden, (list, tuple)) else
            (num_hidden, num_hidden))
    whole = len(both) == 2 and all(isinstance(n, int) for n in both)
    if not whole or not 1 <= both[0] <= both[1] < num:
        raise ValueError(
            f'{num_hidden!r} of {num} {what} cannot be hidden: give a number, '
            f'or (lowest, highest), from 1 to {num - 1}')
    return both[0], both[1]


def joint_mask(num_persons: int, num_segments: int, num_joints: int,
               joints: Sequence[int]) -> Tensor:
    """Hide the same joints of everyone all the time.

    Args:
        num_persons (int): P.
        num_segments (int): S.
        num_joints (int): V.
        joints (Sequence[int]): The joints to hide, each from 0 to V - 1.

    Returns:
        Tensor: ``(P, S, V)`` bool.

    Raises:
        ValueError: If no such joint exists, or nothing or everything would
            be hidden.
    """
    outside = [j for j in joints if not 0 <= j < num_joints]
    if outside:
        raise ValueError(f'joint {outside[0]} does not exist: indices run '
                         f'from 0 to {num_joints - 1}')
    if not 0 < len(set(joints)) < num_joints:
        raise ValueError(f'{len(set(joints))} of {num_joints} joints cannot '
                         'be hidden: hide some, and not all')
    mask = torch.zeros(num_persons, num_segments, num_joints, dtype=torch.bool)
    mask[:, :, list(joints)] = True
    return mask


def random_part_mask(num_persons: int,
                     num_segments: int,
                     num_joints: int,
                     parts: Sequence[Sequence[int]],
                     num_parts: Union[int, Sequence[int]],
                     scope: str = 'clip',
                     uniform: Optional[Tensor] = None) -> Tensor:
    """Hide whole parts of the body, chosen at random.

    Parts of different sizes make rows with different numbers of hidden
    tokens.

    Args:
        num_persons (int): P.
        num_segments (int): S.
        num_joints (int): V.
        parts (Sequence[Sequence[int]]): The joints of each of K parts.
        num_parts (int | Sequence[int]): How many parts to hide; or the
            lowest and the highest number, and each between them is as
            likely. From 1 to K - 1, see :func:`hidden_range`.
        scope (str): ``'clip'``: one choice for all segments of a person.
            ``'frame'``: one for each segment.
        uniform (Tensor, optional): Numbers in [0, 1), ``(P, 1, K + 1)`` for
            a clip, ``(P, S, K + 1)`` for frames. The parts with the lowest
            of the first K are hidden; the last decides how many. Drawn here
            if not given.

    Returns:
        Tensor: ``(P, S, V)`` bool.

    Raises:
        ValueError: If no or all parts could be hidden, or there is no such
            scope.
    """
    if scope not in ('clip', 'frame'):
        raise ValueError(f"scope must be 'clip' or 'frame', not {scope!r}")
    lowest, highest = hidden_range(num_parts, len(parts), 'parts')
    choices = 1 if scope == 'clip' else num_segments
    size = (num_persons, choices, len(parts) + 1)
    uniform = torch.rand(size) if uniform is None else uniform.reshape(size)
    members = torch.stack([
        joint_mask(1, 1, num_joints, part)[0, 0] for part in parts
    ]).to(uniform.device)
    count = lowest + (uniform[..., -1:] * (highest - lowest + 1)).long()
    chosen = ranks(uniform[..., :-1]) < count
    mask = (chosen[..., None] & members).any(-2)
    return mask.expand(-1, num_segments, -1).contiguous()


def random_joint_mask(num_persons: int,
                      num_segments: int,
                      num_joints: int,
                      num_hidden: Union[int, Sequence[int]],
                      scope: str = 'clip',
                      uniform: Optional[Tensor] = None) -> Tensor:
    """Hide joints chosen at random: parts of one joint each.

    Args:
        num_persons (int): P.
        num_segments (int): S.
        num_joints (int): V.
        num_hidden (int | Sequence[int]): How many joints to hide, from 1 to
            V - 1, or the lowest and the highest number.
        scope (str): See :func:`random_part_mask`.
        uniform (Tensor, optional): As there, K = V.

    Returns:
        Tensor: ``(P, S, V)`` bool.

    Raises:
        ValueError: See :func:`random_part_mask`.
    """
    hidden_range(num_hidden, num_joints, 'joints')
    singles = [[joint] for joint in range(num_joints)]
    return random_part_mask(num_persons, num_segments, num_joints, singles,
                            num_hidden, scope, uniform)
