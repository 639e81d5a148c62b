# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Mask transforms are the pure functions, fed from NumPy's generator."""
import numpy as np
import pytest
import torch
from mmaction.datasets.transforms import PackActionInputs

from skel_ssl.datasets.transforms import (
    MotionAwareMask,
    MotionAwareTubeMask,
    RandomMask,
)
from skel_ssl.models.ops.masking import (
    motion_aware_mask,
    motion_intensity,
    patch_motion,
    random_mask,
    tube_mask,
)

# 24 frames of 25 joints in patches of 3: 8 segments; tubes of 2 segments.
TRANSFORMS = {
    'tube': (MotionAwareTubeMask, dict(tube_len=2, beta=.3)),
    'motion': (MotionAwareMask, dict(patch_len=3)),
    'random': (RandomMask, dict(patch_len=3)),
}


@pytest.fixture(params=TRANSFORMS)
def make(request):
    """Makes one of the transforms."""
    kind, settings = TRANSFORMS[request.param]
    return lambda **kwargs: kind(**{**settings, **kwargs})


@pytest.fixture
def results():
    """Two views of a person who moves and one who is absent."""
    keypoint = np.random.default_rng(0).normal(size=(2, 2, 24, 25, 3))
    keypoint[:, 1] = 0
    return dict(keypoint=keypoint.astype(np.float32))


def recorded(transform, monkeypatch):
    """The numbers that a transform draws from now on."""
    drawn = []

    def uniform(*shape):
        drawn.append(type(transform).uniform(*shape))
        return drawn[-1]

    monkeypatch.setattr(transform, 'uniform', uniform, raising=False)
    return drawn


@pytest.mark.parametrize('ratio, beta', [(.9, .1), (.5, 5.)])
def test_tubes_of_the_pure_function(results, ratio, beta, monkeypatch):
    transform = MotionAwareTubeMask(3, ratio, 2, beta, return_rank=True)
    drawn = recorded(transform, monkeypatch)
    packed = transform(results)
    (uniform, ) = drawn
    assert uniform.shape == (4, 4, 25)
    intensity = motion_intensity(
        torch.from_numpy(results['keypoint']).flatten(0, 1), 3)
    expected = tube_mask(intensity, ratio, 2, beta, uniform)
    assert torch.equal(packed['mask'].flatten(0, 1), expected.mask)
    assert torch.equal(packed['mask_rank'].flatten(0, 1), expected.rank)
    even = tube_mask(intensity, ratio, 2, 0., uniform)
    assert not torch.equal(expected.mask, even.mask)  # motion had a say


def test_moving_tokens_of_the_pure_function(results, monkeypatch):
    transform = MotionAwareMask(3, .75, .2, return_rank=True)
    drawn = recorded(transform, monkeypatch)
    packed = transform(results)
    (uniform, ) = drawn
    intensity = patch_motion(
        torch.from_numpy(results['keypoint']).flatten(0, 1), 3)
    expected = motion_aware_mask(intensity, .75, .2, uniform)
    assert torch.equal(packed['mask'].flatten(0, 1), expected.mask)
    assert torch.equal(packed['mask_rank'].flatten(0, 1), expected.rank)
    even = motion_aware_mask(intensity, .75, 0., uniform)
    assert not torch.equal(expected.mask, even.mask)  # motion had a say


def test_tokens_of_the_pure_function(results, monkeypatch):
    transform = RandomMask(3, .75, return_rank=True)
    drawn = recorded(transform, monkeypatch)
    packed = transform(results)
    (uniform, ) = drawn
    expected = random_mask(4, 8, 25, .75, uniform)
    assert torch.equal(packed['mask'].flatten(0, 1), expected.mask)
    assert torch.equal(packed['mask_rank'].flatten(0, 1), expected.rank)


def test_shapes_and_types(make, results):
    before = results['keypoint'].copy()
    packed = make()(results)
    assert packed['mask'].shape == (2, 2, 8, 25)
    assert packed['mask'].dtype == torch.bool
    hidden = packed['mask'].flatten(2).sum(2)
    assert hidden.unique().numel() == 1  # as many of an absent person
    assert 'mask_rank' not in packed
    np.testing.assert_array_equal(packed['keypoint'], before)


def test_the_ranking_is_behind_the_mask(make, results):
    packed = make(return_rank=True)(results)
    mask, rank = packed['mask'], packed['mask_rank']
    assert rank.shape == mask.shape and rank.dtype == torch.int64
    # Every rank that is hidden is above every rank that is visible.
    assert rank[mask].min() == rank[~mask].max() + 1


def test_views_and_persons_have_masks_of_their_own(make, results):
    mask = make()(results)['mask'].flatten(0, 1)
    for one in range(4):
        for other in range(one):
            assert not torch.equal(mask[one], mask[other])


def test_the_seed_of_numpy_decides(make, results):
    transform, masks = make(), []
    for seed in (7, 7, 8):
        np.random.seed(seed)
        torch.manual_seed(len(masks))  # has no say
        masks.append(transform(results)['mask'])
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_numbers_are_uniform_below_one(monkeypatch):
    np.random.seed(0)
    numbers = RandomMask.uniform(4, 250_000)
    assert numbers.shape == (4, 250_000) and numbers.dtype == torch.float32
    share = torch.histc(numbers, 10, 0, 1) / 1e6
    spread = (.1 * .9 / 1e6)**.5
    assert (share - .1).abs().max() < 5 * spread
    monkeypatch.setattr(np.random, 'randint',
                        lambda low, high, shape: np.full(shape, high - 1))
    assert RandomMask.uniform(1).item() < 1


def test_the_mask_is_packed(make, results):
    results = make(return_rank=True)({**results, 'label': 0})
    expected = results['mask'], results['mask_rank']
    packed = PackActionInputs(algorithm_keys=('mask', 'mask_rank'))(results)
    sample = packed['data_samples']
    assert torch.equal(sample.mask, expected[0])
    assert torch.equal(sample.mask_rank, expected[1])
    assert packed['inputs'].shape == (2, 2, 24, 25, 3)


def test_before_formatting(make, results):
    results['keypoint'] = results['keypoint'][0]
    with pytest.raises(
            ValueError,
            match=r'put it after FormatGCNInput; .* \(2, 24, 25, 3\)'):
        make()(results)


def test_frames_that_make_no_patches(make, results):
    with pytest.raises(ValueError, match='24 frames .* into patches of 5'):
        make(patch_len=5)(results)


def test_segments_that_make_no_tubes(results):
    with pytest.raises(ValueError, match='8 segments .* into tubes of 3'):
        MotionAwareTubeMask(tube_len=3)(results)


def test_the_settings_are_shown(make):
    shown = repr(make(mask_ratio=.8))
    assert 'mask_ratio=0.8' in shown and 'patch_len=3' in shown
