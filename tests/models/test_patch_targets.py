# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Targets that are cut from the clip: order, normalisation, odd clips."""
import numpy as np
import pytest
import torch

from skel_ssl.models.targets import CoordinateTarget, MotionTarget
from skel_ssl.models.targets.patch_targets import to_patches


@pytest.fixture
def persons():
    return torch.randn(2, 8, 5, 3) + torch.randn(2, 1, 5, 1)


def test_order_of_tokens_and_values(persons):
    patches = to_patches(persons, 4)
    assert patches.shape == (2, 10, 12)
    for s in range(2):
        for v in range(5):
            expected = persons[1, 4 * s:4 * s + 4, v].flatten()
            assert torch.equal(patches[1, 5 * s + v], expected)


def test_patch_normalisation_is_unbiased(persons):
    target = CoordinateTarget(patch_len=4)(persons)
    values = to_patches(persons, 4).numpy()
    expected = (values - values.mean(-1, keepdims=True)) / np.sqrt(
        values.var(-1, ddof=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(target, expected, atol=1e-5)


def test_time_normalisation(persons):
    """Each coordinate of each joint has mean 0 and variance 1 over time."""
    target = MotionTarget(patch_len=4, normalise='time')(persons)
    motion = np.zeros(persons.shape, np.float32)
    motion[:, :-1] = np.diff(persons.numpy(), axis=1)
    expected = (motion - motion.mean(1, keepdims=True)) / np.sqrt(
        motion.var(1, ddof=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(
        target, to_patches(torch.from_numpy(expected), 4), atol=1e-5)


@pytest.mark.parametrize('normalise', ['patch', 'time', None])
def test_nothing_moves(normalise):
    still = torch.randn(1, 1, 5, 3).expand(1, 8, 5, 3)
    target = MotionTarget(patch_len=4, normalise=normalise)(still)
    assert torch.equal(target, torch.zeros(1, 10, 12))


def test_stride(persons):
    target = MotionTarget(4, stride=2, normalise=None)(persons)
    motion = persons[:, 2:] - persons[:, :-2]
    motion = torch.cat([motion, torch.zeros(2, 2, 5, 3)], 1)
    assert torch.equal(target, to_patches(motion, 4))


def test_float32_under_autocast(persons):
    plain = MotionTarget()(persons)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(MotionTarget()(persons), plain)


def test_bad_arguments():
    with pytest.raises(ValueError, match="no normalisation 'joint'"):
        CoordinateTarget(normalise='joint')
    with pytest.raises(ValueError, match='stride=0 must be 1 or more'):
        MotionTarget(stride=0)
