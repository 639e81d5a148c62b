# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The mathematics of the transforms for a batch, each person on its own.

Persons are ``(P, T, V, C)`` float32. See
:mod:`skel_ssl.datasets.transforms.geometry` for one clip.
"""
from typing import Union

import torch
from torch import Tensor


def between(low: Union[float, Tensor], high: Union[float, Tensor],
            uniform: Tensor) -> Tensor:
    """Numbers in [0, 1) brought to ``[low, high)``, float64."""
    return low + (high - low) * uniform.double()


def rotation_matrices(angles: Tensor) -> Tensor:
    """Rotations about x, then y, then z.

    Args:
        angles (Tensor): ``(P, 3)`` in radians.

    Returns:
        Tensor: ``(P, 3, 3)`` for column vectors, with the signs of
        :func:`~skel_ssl.datasets.transforms.geometry.rotation_matrix`.
    """
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    entries = (
        cy * cz, cx * sz + sx * sy * cz, sx * sz - cx * sy * cz,
        -cy * sz, cx * cz - sx * sy * sz, sx * cz + cx * sy * sz,
        sy, -sx * cy, cx * cy)  # yapf: disable
    return torch.stack(entries, 1).unflatten(1, (3, 3))


def shear_matrices(factors: Tensor) -> Tensor:
    """Shears, ``(P, 6)`` to ``(P, 3, 3)``: the off-diagonal entries, row by
    row."""
    ones = torch.ones_like(factors[:, 0])
    xy, xz, yx, yz, zx, zy = factors.unbind(1)
    entries = (ones, xy, xz, yx, ones, yz, zx, zy, ones)
    return torch.stack(entries, 1).unflatten(1, (3, 3))


def apply_matrices(persons: Tensor, matrices: Tensor) -> Tensor:
    """Apply a linear map, ``(P, 3, 3)`` for column vectors, to every joint.

    A joint at zero stays. Several joints are mapped at a time, by a block
    matrix: products of such narrow matrices take less time so, although
    there is more to multiply.
    """
    num_joints = persons.shape[2]
    together = next(k for k in (5, 4, 3, 2, 1) if num_joints % k == 0)
    blocks = matrices.new_zeros(
        len(persons), together, 3, together, 3, dtype=persons.dtype)
    blocks.diagonal(dim1=1, dim2=3).copy_(matrices.mT[..., None])
    width = 3 * together
    points = persons.reshape(len(persons), -1, width)
    return torch.bmm(points, blocks.view(-1, width, width)).view_as(persons)


def box_diagonals(persons: Tensor, valid: Tensor) -> Tensor:
    """How large the persons are in each frame.

    Args:
        persons (Tensor): ``(P, T, V, C)``.
        valid (Tensor): ``(P, T, V)`` bool, the joints that count.

    Returns:
        Tensor: ``(P, T)``, diagonal of the box around these joints; 0 where
        there are none.
    """
    outside = ~valid[..., None]
    lowest = persons.masked_fill(outside, torch.inf).amin(2)
    highest = persons.masked_fill(outside, -torch.inf).amax(2)
    return (highest - lowest).clamp(min=0).norm(dim=-1)
