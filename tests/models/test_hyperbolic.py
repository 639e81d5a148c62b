# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The Poincare ball: its map, its distances, its edge."""

import pytest
import torch

from skel_ssl.models.ops.hyperbolic import (
    ball_distance,
    ball_map,
    distance_sums,
)


def test_ball_map_at_zero_is_the_identity():
    v = torch.zeros(2, 5, requires_grad=True)
    points = ball_map(v)
    assert points.eq(0).all()
    direction = torch.randn(2, 5)
    grad, = torch.autograd.grad(points, v, direction)
    torch.testing.assert_close(grad, direction)


def test_ball_map_values_and_gradient():
    v = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    norm = v.norm(dim=-1, keepdim=True)
    points = ball_map(v)
    torch.testing.assert_close(points, norm.tanh() * v / norm)
    # d h / d v = tanh(n)/n I + (sech(n)^2 - tanh(n)/n) v v^T / n^2
    n, unit = norm[0].item(), (v[0] / norm[0])[:, None]
    scale = torch.tanh(torch.tensor(n)).item() / n
    slope = 1 - (scale * n)**2
    analytic = scale * torch.eye(5) + (slope - scale) * unit @ unit.t()
    jacobian = torch.autograd.functional.jacobian(ball_map, v[0])
    torch.testing.assert_close(jacobian, analytic.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize('size', [1e-30, 1e-20, 1e-12, 1e-3, 1., 9., 1e3, 1e9])
def test_ball_map_stays_inside_and_finite(size):
    v = (torch.randn(500, 16) * size).requires_grad_()
    points = ball_map(v)
    assert (points.norm(dim=-1) < 1).all()
    points.sum().backward()
    assert v.grad.isfinite().all()
    if size < 1e-2:
        torch.testing.assert_close(points, v, rtol=1e-3, atol=0)
    if size > 100:  # rounding takes some out, and they are put back
        radius = points.norm(dim=-1)
        moved = radius < 1 - 5e-6
        assert 0 < moved.sum() < 500
        torch.testing.assert_close(
            radius[moved], torch.full_like(radius[moved], 1 - 1e-5), rtol=0,
            atol=5e-7)
        assert (radius[~moved] > 1 - 1e-6).all()


def test_the_ball_is_float32_under_autocast():
    v = torch.randn(2, 6, 16)
    with torch.autocast('cpu', torch.bfloat16):
        assert (v @ v.transpose(1, 2)).dtype == torch.bfloat16
        points = ball_map(v)
        sums = distance_sums(points)
        assert ball_map(v.bfloat16()).dtype == torch.float32
    assert points.dtype == sums.dtype == torch.float32
    assert torch.equal(points, ball_map(v))
    assert torch.equal(sums, distance_sums(points))


@pytest.mark.parametrize('factor', [2., 4.])
def test_distances(factor):
    points = ball_map(torch.randn(3, 9, 16, dtype=torch.float64))
    u, w = points[:, :, None], points[:, None]
    direct = ball_distance(u, w, factor)
    torch.testing.assert_close(direct, direct.transpose(1, 2))
    assert direct.diagonal(dim1=1, dim2=2).eq(0).all()
    gap = 1 - points.square().sum(-1)
    x = factor * (u - w).square().sum(-1) / (gap[:, :, None] * gap[:, None])
    torch.testing.assert_close(direct, torch.arccosh(1 + x), atol=1e-6, rtol=0)
    torch.testing.assert_close(distance_sums(points, factor), direct.sum(-1))
    # From the origin: twice the artanh of the radius.
    if factor == 2:
        zero = torch.zeros(16, dtype=torch.float64)
        torch.testing.assert_close(
            ball_distance(zero, points),
            2 * torch.atanh(points.norm(dim=-1)))


@pytest.mark.parametrize('spread', [1., 1e-2, 1e-4])
def test_the_gram_form_keeps_its_precision(spread):
    """Crowded points near the boundary, in float32."""
    v = torch.randn(4, 1, 16) * 2 + spread * torch.randn(4, 12, 16)
    points = ball_map(v)
    direct = ball_distance(points[:, :, None], points[:, None]).sum(-1)
    torch.testing.assert_close(
        distance_sums(points), direct, rtol=2e-4, atol=0)


def test_a_crowd_and_one_outside():
    """Rounding makes squared distances in the crowd negative."""
    v = torch.randn(50, 1, 16) + 1e-5 * torch.randn(50, 18, 16)
    v[:, 0] += 1
    sums = distance_sums(ball_map(v))
    assert sums.isfinite().all()
    assert (sums[:, 0] > 10 * sums[:, 1:].amax(1) / 17).all()


def test_radii_next_to_one():
    direction = torch.nn.functional.normalize(torch.randn(64, 16), dim=-1)
    radius = 1 - torch.rand(64, 1) * 1e-5
    points = direction * radius.clamp(max=1 - 2**-24)
    # Some twice, and some that rounding has left on the boundary.
    points = torch.cat([points, points[:8], torch.eye(16)])
    for factor in (2., 4.):
        sums = distance_sums(points, factor)
        assert sums.isfinite().all() and (sums > 0).all()
        assert ball_distance(points, points[:1], factor).isfinite().all()
