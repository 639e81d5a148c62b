# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The Poincare ball of curvature -1: the map into it, and distances.

Everything is computed in float32 at least, also under autocast: most tokens
of HA-CM lie so near to the boundary that half precision cannot tell them
from it.
"""
import torch
from torch import Tensor

# Points on or beyond the boundary are put back to a radius of 1 - _MARGIN.
_MARGIN = 1e-5
# Least value of 1 - |u|^2: the float32 step below 1. A radius may lie below
# 1 and its square still round to 1.
_LEAST_GAP = 2.**-24


def _exact(points: Tensor) -> Tensor:
    return points.to(torch.promote_types(points.dtype, torch.float32))


def ball_map(vectors: Tensor) -> Tensor:
    """Exponential map at the origin of the ball, ``tanh(|v|) v / |v|``.

    A zero vector stays zero and has the gradient of the identity. Points
    that rounding has put on or beyond the boundary are moved to a radius of
    1 - 1e-5; those between 1 - 1e-5 and 1 stay (HA-CM, arXiv 2409.17951).

    Args:
        vectors (Tensor): ``(..., D)``.

    Returns:
        Tensor: ``(..., D)``, float32 (or float64 if given), norms below 1.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        vectors = _exact(vectors)
        square = vectors.square().sum(-1, keepdim=True)
        # The root is taken of a safe number: where() stops a wrong value,
        # but lets the NaN of its gradient pass.
        positive = square > 0
        norm = torch.where(positive, square, 1.).sqrt()
        points = vectors * torch.where(positive, norm.tanh() / norm, 1.)
        radius = points.norm(dim=-1, keepdim=True)
        limit = 1 - _MARGIN
        return points * (limit / torch.where(radius < 1, limit, radius))


def _gap(points: Tensor) -> Tensor:
    """``1 - |u|^2``, positive, ``(...)``."""
    return (1 - points.square().sum(-1)).clamp(min=_LEAST_GAP)


def _arccosh1p(x: Tensor) -> Tensor:
    """``arccosh(1 + x)`` for x >= 0, exact for small x too."""
    return torch.log1p(x + (x * (x + 2)).sqrt())


def ball_distance(u: Tensor, w: Tensor, factor: float = 2.) -> Tensor:
    """Distance in the ball, ``arccosh(1 + f |u-w|^2 / (gap_u gap_w))``.

    Args:
        u (Tensor): ``(..., D)`` points with norms below 1.
        w (Tensor): ``(..., D)``, broadcasts with u.
        factor (float): f; 2 is the distance of curvature -1, HA-CM's public
            code has 4.

    Returns:
        Tensor: ``(...)``, float32 (or float64 if given).
    """
    with torch.autocast(u.device.type, enabled=False):
        u, w = _exact(u), _exact(w)
        square = (u - w).square().sum(-1)
        return _arccosh1p(factor * square / (_gap(u) * _gap(w)))


def distance_sums(points: Tensor, factor: float = 2.) -> Tensor:
    """Sum of the distances of each point to all points of its set.

    From the Gram matrix, so no ``(..., V, V, D)`` tensor is made.

    Args:
        points (Tensor): ``(..., V, D)`` with norms below 1.
        factor (float): See :func:`ball_distance`.

    Returns:
        Tensor: ``(..., V)``, float32 (or float64 if given).
    """
    with torch.autocast(points.device.type, enabled=False):
        points = _exact(points)
        gap = _gap(points)
        # Differences do not see a common shift, and the Gram form loses
        # least to cancellation around the centre.
        centred = points - points.mean(-2, keepdim=True)
        gram = centred @ centred.transpose(-2, -1)
        norm = gram.diagonal(dim1=-2, dim2=-1)
        # Exactly 0 on the diagonal.
        square = norm[..., :, None] + norm[..., None, :] - 2 * gram
        gaps = gap[..., :, None] * gap[..., None, :]
        return _arccosh1p(factor * square.clamp(min=0) / gaps).sum(-1)
