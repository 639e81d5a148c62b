# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Mathematics of the skeleton transforms: pure functions on arrays.

Keypoints are ``(M, T, V, C)``: persons, frames, joints, coordinates.
"""
from typing import Iterable, Sequence, Tuple

import numpy as np


def rotation_matrix(angles: Sequence[float]) -> np.ndarray:
    """Rotation about x, then y, then z.

    Args:
        angles (Sequence[float]): ``(a0, a1, a2)`` in radians.

    Returns:
        np.ndarray: ``Rz(a2) Ry(a1) Rx(a0)``, shape (3, 3), float64, to be
        applied to column vectors. The signs are those of Skeleton2vec and
        MAMP (and pyskl): a positive angle turns y towards -z, x towards z
        and x towards -y.
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def axis_angle_matrix(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation about an axis, counter-clockwise (Rodrigues' formula).

    Args:
        axis (np.ndarray): Shape (3, ), of any length but zero.
        angle (float): In radians.

    Returns:
        np.ndarray: Shape (3, 3), float64.
    """
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (np.eye(3) + np.sin(angle) * cross +
            (1 - np.cos(angle)) * (cross @ cross))


def rotation_between(vector: np.ndarray, target: Sequence[int]) -> np.ndarray:
    """Rotation that makes a vector parallel to a coordinate axis.

    The cosine is taken in the vector's own precision, as MMAction2's
    ``PreNormalize3D`` does: near 0 the arc cosine magnifies rounding, and
    two ways to round would part by more than rounding.

    Args:
        vector (np.ndarray): Shape (3, ).
        target (Sequence[int]): A coordinate axis, e.g. (0, 0, 1).

    Returns:
        np.ndarray: Shape (3, 3), float64. The identity if the vector is zero
        or (anti)parallel to the target, to about 1e-6.
    """
    axis = np.cross(vector, target)
    if np.abs(vector).sum() < 1e-6 or np.abs(axis).sum() < 1e-6:
        return np.eye(3)
    cosine = np.dot(vector / np.linalg.norm(vector), target)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    return np.eye(3) if angle < 1e-6 else axis_angle_matrix(axis, angle)


def shear_matrix(factors: Sequence[float]) -> np.ndarray:
    """Shear that moves each coordinate along with the two others.

    Args:
        factors (Sequence[float]): The six off-diagonal entries, row by row:
            xy, xz, yx, yz, zx, zy.

    Returns:
        np.ndarray: Shape (3, 3), float64, ones on the diagonal, to be
        applied to column vectors.
    """
    matrix = np.eye(3)
    matrix[~np.eye(3, dtype=bool)] = factors
    return matrix


def apply_matrix(keypoint: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a linear map to every joint.

    Args:
        keypoint (np.ndarray): Shape (..., 3), floating.
        matrix (np.ndarray): Shape (3, 3), applied to column vectors.

    Returns:
        np.ndarray: Shape and dtype of ``keypoint``. A joint at zero stays.
    """
    points = keypoint.reshape(-1, 3) @ matrix.T.astype(keypoint.dtype)
    return points.reshape(keypoint.shape)


def mirror_order(num_joints: int,
                 flip_pairs: Iterable[Tuple[int, int]]) -> np.ndarray:
    """Which joint takes each place in a mirrored body.

    Args:
        num_joints (int): V.
        flip_pairs (Iterable[tuple[int, int]]): Joints that change places.

    Returns:
        np.ndarray: Shape (V, ), int64: ``mirrored[v] = original[order[v]]``.
    """
    order = np.arange(num_joints)
    for left, right in flip_pairs:
        order[[left, right]] = right, left
    return order


def mirror(keypoint: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Mirror bodies at the plane x = 0.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, 3).
        order (np.ndarray): Shape (V, ), see :func:`mirror_order`.

    Returns:
        np.ndarray: Shape and dtype of ``keypoint``.
    """
    mirrored = keypoint[:, :, order]
    mirrored[..., 0] *= -1
    return mirrored


def resize_frames(keypoint: np.ndarray, num_frames: int) -> np.ndarray:
    """Change the number of frames by linear interpolation.

    Frame i of n lies at ``max((i + 0.5) * T / n - 0.5, 0)`` of the T frames:
    half-pixel centres, edges clamped, no anti-aliasing (the temporal axis of
    a bilinear resize). With n = T nothing changes.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C), floating, T >= 1.
        num_frames (int): n >= 1.

    Returns:
        np.ndarray: Shape (M, n, V, C), dtype of ``keypoint``.
    """
    last = keypoint.shape[1] - 1
    place = (np.arange(num_frames) + 0.5) * (last + 1) / num_frames - 0.5
    place = np.maximum(place, 0)
    before = place.astype(np.int64)
    after = np.minimum(before + 1, last)
    weight = (place - before).astype(keypoint.dtype)[:, None, None]
    return keypoint[:, before] * (1 - weight) + keypoint[:, after] * weight


def crop_bounds(num_frames: int, ratio: float,
                min_frames: int) -> Tuple[int, int]:
    """How long a random temporal crop is, and where it may start.

    Args:
        num_frames (int): Frames of the clip.
        ratio (float): Share of the clip to keep.
        min_frames (int): Least number of frames; a shorter clip is kept
            whole.

    Returns:
        tuple[int, int]: Length, and number of possible starts (0, 1, ...).
    """
    length = min(max(int(num_frames * ratio), min_frames), num_frames)
    return length, num_frames - length + 1


def centre_crop(num_frames: int, ratio: float) -> Tuple[int, int]:
    """First and one-past-last frame of a temporal centre crop.

    Args:
        num_frames (int): Frames of the clip.
        ratio (float): Share of the clip to keep.

    Returns:
        tuple[int, int]: ``int((1 - ratio) * num_frames / 2)`` frames are cut
        off at both ends.
    """
    cut = int((1 - ratio) * num_frames / 2)
    return cut, num_frames - cut
