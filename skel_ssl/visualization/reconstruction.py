# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From predictions back to coordinates, for pictures.

What a model predicts of a patch is standardised with the mean and the
standard deviation of the true patch, which it cannot know. To draw it, these
true figures are put back in: pictures show the shape of what was predicted,
at the true place and in the true size. They are no measure of the error.

Motion says how a joint goes on from where it is. It is added up, from the
last visible frame onwards; before the first visible frame backwards from it.
A joint that is never visible starts where it truly is.
"""
import torch
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.models.targets import (
    BallMotionTarget,
    CoordinateTarget,
    JointTarget,
    MotionTarget,
)
from skel_ssl.models.targets.patch_targets import PatchTarget, to_patches

_EPS = 1e-6  # as in the targets' normalisation
_RIM = 1 - 1e-5  # largest radius that ``ball_map`` gives


def can_reconstruct(target: BaseModule) -> bool:
    """Whether predictions of this target can be put back into
    coordinates."""
    if isinstance(target, JointTarget):
        return target.source == 'coord'
    return isinstance(target, (CoordinateTarget, MotionTarget))


def explain(target: BaseModule) -> str:
    """What is to be known of a picture of a reconstruction."""
    if isinstance(target, JointTarget):
        return 'coordinates as predicted'
    of = {'patch': 'of each token', 'time': 'of each joint', None: ''}[
        target.normalise]
    known = f'mean and spread {of} are the true ones' if of else 'in metres'
    if isinstance(target, MotionTarget):
        return f'motion, added up from the last visible frame; {known}'
    return f'coordinates; {known}'


@torch.no_grad()
def reconstruct(target: BaseModule, persons: Tensor, prediction: Tensor,
                mask: Tensor) -> Tensor:
    """Coordinates of persons of whom the hidden tokens are predicted.

    Args:
        target (BaseModule): The model's target, see :func:`can_reconstruct`.
        persons (Tensor): ``(P, T, V, C)``, the truth.
        prediction (Tensor): ``(P, S, V', D')`` of all tokens.
        mask (Tensor): ``(P, S, V')`` bool, True = hidden.

    Returns:
        Tensor: ``(P, T, V, C)`` float32; visible joints, and those that are
        no tokens, are where they truly are.

    Raises:
        ValueError: If the target is no coordinates or motion.
    """
    if not can_reconstruct(target):
        raise ValueError(
            f'what a {type(target).__name__} wants predicted are features, '
            'not coordinates: draw the error of each token instead')
    persons = persons.float()
    if isinstance(target, JointTarget):
        return torch.where(mask[..., None], prediction.float(), persons)
    joints = getattr(target, 'joints', None)
    limbs = persons if joints is None else persons[:, :, joints]
    truth = target.frames(persons)
    frames = denormalise(
        from_patches(prediction.float(), target.patch_len), truth, target)
    hidden = mask.repeat_interleave(target.patch_len, 1)
    if isinstance(target, MotionTarget):
        frames = torch.where(hidden[..., None], frames, truth)
        if isinstance(target, BallMotionTarget) and (
                target.target_map == 'ball'):
            frames = inverse_ball_map(frames)
        found = integrate_motion(frames, limbs, hidden, target.stride)
    else:
        found = torch.where(hidden[..., None], frames, limbs)
    if joints is None:
        return found
    out = persons.clone()
    out[:, :, joints] = found
    return out


def from_patches(tokens: Tensor, patch_len: int) -> Tensor:
    """Inverse of ``to_patches``: ``(P, S, V, patch_len * C)`` to
    ``(P, T, V, C)``."""
    return tokens.unflatten(-1, (patch_len, -1)).transpose(2, 3).flatten(1, 2)


def denormalise(frames: Tensor, truth: Tensor, target: PatchTarget) -> Tensor:
    """Undo a normalisation, with the figures of the truth.

    Args:
        frames (Tensor): ``(P, T, V, C)``, normalised.
        truth (Tensor): Same shape, not normalised.
        target (PatchTarget): Says how, with ``normalise`` and ``patch_len``.
    """
    if target.normalise is None:
        return frames
    if target.normalise == 'time':
        var, mean = torch.var_mean(truth, dim=1, keepdim=True)
        return frames * (var + _EPS).sqrt() + mean
    grid = (-1, frames.shape[2])
    patches = to_patches(frames, target.patch_len)
    var, mean = torch.var_mean(
        to_patches(truth, target.patch_len), dim=-1, keepdim=True)
    return from_patches((patches * (var + _EPS).sqrt() + mean).unflatten(
        1, grid), target.patch_len)


def inverse_ball_map(points: Tensor) -> Tensor:
    """Inverse of ``ball_map``, ``artanh(|u|) u / |u|``; points beyond the
    ball, as a model may predict them, are moved to its rim."""
    radius = points.norm(dim=-1, keepdim=True)
    return points / radius.clamp(min=1e-12) * radius.clamp(max=_RIM).atanh()


def integrate_motion(motion: Tensor, truth: Tensor, hidden: Tensor,
                     stride: int) -> Tensor:
    """Add motion up to places.

    Args:
        motion (Tensor): ``(P, T, V, C)``, ``x[t + stride] - x[t]``.
        truth (Tensor): ``(P, T, V, C)``; its hidden places are only looked
            at of joints that are never visible, in the first frames.
        hidden (Tensor): ``(P, T, V)`` bool.
        stride (int): Frames between the two that are compared.

    Returns:
        Tensor: ``(P, T, V, C)``.
    """
    num_frames = motion.shape[1]
    known = ~hidden
    for i in range(min(stride, num_frames)):
        # Every stride-th frames are chained to each other, not to the rest.
        known[:, i] |= ~known[:, i::stride].any(1)
    places = torch.where(known[..., None], truth, 0.)
    for now in range(num_frames - stride):
        then = now + stride
        new = known[:, now] & ~known[:, then]
        places[:, then] = torch.where(
            new[..., None], places[:, now] + motion[:, now], places[:, then])
        known[:, then] |= new
    for now in range(num_frames - stride - 1, -1, -1):
        then = now + stride
        new = known[:, then] & ~known[:, now]
        places[:, now] = torch.where(
            new[..., None], places[:, then] - motion[:, now], places[:, now])
        known[:, now] |= new
    return places
