# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Geometry and crops, as pure functions."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets.transforms import geometry
from tests.datasets.pose_clips import make_clip


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.floats(-4, 4)] * 3), st.integers(0, 99))
def test_rotation_preserves_lengths_and_handedness(angles, seed):
    matrix = geometry.rotation_matrix(angles)
    clip = make_clip(seed=seed, dtype=np.float64)
    rotated = geometry.apply_matrix(clip, matrix)
    np.testing.assert_allclose(
        np.linalg.norm(rotated, axis=-1), np.linalg.norm(clip, axis=-1))
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize('angles, source, image', [
    ((np.pi / 2, 0, 0), (0, 1, 0), (0, 0, -1)),
    ((0, np.pi / 2, 0), (1, 0, 0), (0, 0, 1)),
    ((0, 0, np.pi / 2), (1, 0, 0), (0, -1, 0)),
    ((np.pi / 2, np.pi / 2, 0), (0, 1, 0), (1, 0, 0)),
])
def test_rotation_signs_and_order(angles, source, image):
    """x is turned first: y -> -z -> x."""
    turned = geometry.rotation_matrix(angles) @ source
    np.testing.assert_allclose(turned, image, atol=1e-12)


def test_axis_angle_is_counter_clockwise():
    matrix = geometry.axis_angle_matrix(np.array([0, 0, 2.]), np.pi / 2)
    np.testing.assert_allclose(matrix @ (1, 0, 0), (0, 1, 0), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 0, 0), (0, 0, 1)]))
def test_rotation_between_turns_the_vector_there(seed, target):
    vector = np.random.default_rng(seed).normal(size=3)
    turned = geometry.rotation_between(vector, target) @ vector
    np.testing.assert_allclose(
        turned, np.linalg.norm(vector) * np.array(target), atol=1e-7)


def test_rotation_between_leaves_what_has_no_direction():
    identity = np.eye(3)
    for vector in ([0, 0, 0], [0, 0, 2], [0, 0, -2]):
        matrix = geometry.rotation_between(np.array(vector, float), (0, 0, 1))
        np.testing.assert_array_equal(matrix, identity)


def test_shear_matrix_entries():
    np.testing.assert_array_equal(
        geometry.shear_matrix([.1, .2, .3, .4, .5, .6]),
        [[1, .1, .2], [.3, 1, .4], [.5, .6, 1]])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 99))
def test_resize_to_the_same_length_changes_nothing(frames, seed):
    clip = make_clip(frames=frames, joints=2, seed=seed)
    np.testing.assert_array_equal(geometry.resize_frames(clip, frames), clip)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30))
def test_resize_is_torch_bilinear(frames, num_frames):
    clip = make_clip(1, frames, 3)
    ours = geometry.resize_frames(clip, num_frames)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(clip[0]).permute(2, 0, 1)[None],
        size=(num_frames, 3),
        mode='bilinear')
    np.testing.assert_allclose(
        ours[0].transpose(2, 0, 1), theirs[0].numpy(), atol=2e-5)


@pytest.mark.parametrize('frames, ratio, expected', [
    (57, .5, (57, 1)),
    (103, .72556128, (74, 30)),
    (300, .5, (150, 151)),
    (100, .5, (64, 37)),
    (80, 1., (80, 1)),
])
def test_crop_bounds(frames, ratio, expected):
    assert geometry.crop_bounds(frames, ratio, 64) == expected


@pytest.mark.parametrize('frames, ratio, expected', [
    (40, .95, (1, 39)),
    (39, .95, (0, 39)),
    (300, .95, (7, 293)),
    (10, .5, (2, 8)),
])
def test_centre_crop(frames, ratio, expected):
    assert geometry.centre_crop(frames, ratio) == expected
