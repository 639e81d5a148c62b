# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A batch is distributed as the clips of the pipeline are."""
import numpy as np
import pytest
import torch

from skel_ssl.datasets import PersonDataset, SeededIndex
from skel_ssl.datasets.seeded_sampler import sample_seed
from skel_ssl.registry import DATASETS
from tests.datasets.person_batches.persons import (
    CROP,
    PACK,
    clips_of,
    walk,
    write,
)

DRAWS = 500


@pytest.fixture(scope='module')
def one_person(tmp_path_factory):
    """60 frames; joint 0 marks time, joint 1 turns and joint 2 runs."""
    clip = walk(np.random.default_rng(0), 1, 60)
    clip[0, :, 0] = np.arange(1, 61)[:, None]
    clip[0, :, 1] = 1, 2, 3
    clip[0, :, 2] *= 20
    return write(tmp_path_factory.mktemp('one') / 'a.pkl', [clip])


def draws(ann_file, pipeline):
    """Many draws of each way: inputs (N, T, V, C), masks (N, S, V)."""
    indices = [SeededIndex(0, sample_seed(7, i, 0)) for i in range(DRAWS)]
    batch = PersonDataset(clips_of(ann_file, pipeline)).__getitems__(indices)
    clips = DATASETS.build(clips_of(ann_file, pipeline))
    samples = [clips[i] for i in indices]
    inputs = torch.stack([s['inputs'][0, 0] for s in samples]).float()
    masks = None
    if 'mask' in batch:
        masks = torch.stack([s['data_samples'].mask[0, 0] for s in samples])
    return (batch['inputs'], inputs), (batch.get('mask'), masks)


def assert_same_mean(one, other, slack=1e-4):
    """Two samples (N, ...) of distributions with one mean."""
    one, other = one.double(), other.double()
    spread = ((one.var(0) + other.var(0)) / len(one)).sqrt()
    gap = (one.mean(0) - other.mean(0)).abs()
    assert (gap <= 4.5 * spread + slack).all(), (gap, spread)


def assert_alike(one, other):
    """Also with one variance."""
    assert_same_mean(one, other)
    assert_same_mean((one - one.mean(0))**2, (other - other.mean(0))**2)


@pytest.mark.parametrize('sampling', [
    [dict(CROP, clip_len=6)],
    [dict(type='PoseUniformSampleFrames', clip_len=80)],
    [dict(type='PoseUniformSampleFrames', clip_len=40)],
    [dict(type='PoseUniformSampleFrames', clip_len=12)],
], ids=str)
def test_frames(one_person, sampling):
    (one, other), _ = draws(
        one_person, [*sampling, dict(type='PoseDecode'), *PACK]
        if 'Uniform' in sampling[0]['type'] else [*sampling, *PACK])
    assert_alike(one[:, :, 0, 0], other[:, :, 0, 0])
    assert one[:, 0, 0, 0].std() > .4
    assert_alike(one[:, -1, 0, 0] - one[:, 0, 0, 0],
                 other[:, -1, 0, 0] - other[:, 0, 0, 0])


@pytest.mark.parametrize('transform', [
    dict(type='PoseRandomRotate', theta=(.3, .8, 1.5)),
    dict(type='PoseRandomScale', scale=(.1, .2, .5)),
    dict(type='PoseRandomShear', shear=.4),
    dict(type='PoseRandomFlip', prob=.3),
    dict(type='PoseJitter', sigma=.1),
    dict(type='PoseJitter', sigma=.1, unit='box'),
], ids=str)
def test_coordinates(one_person, transform):
    centre = dict(CROP, p_interval=(1., ), clip_len=2)
    (one, other), _ = draws(one_person, [centre, transform, *PACK])
    assert_alike(one[:, 0, 1:6], other[:, 0, 1:6])
    assert one[:, 0, 1].var(0).max() > 1e-3


@pytest.mark.parametrize('mask', [
    dict(type='RandomMask', patch_len=3, mask_ratio=.6),
    dict(type='MotionAwareMask', patch_len=3, mask_ratio=.6, tau=.2),
    dict(type='MotionAwareTubeMask', patch_len=3, mask_ratio=.6, tube_len=2,
         beta=.8),
    dict(type='BodyPartMask', layout='ntu25', mask_parts='random',
         num_mask_parts=(1, 3), mask_scope='frame', patch_len=3),
], ids=lambda mask: mask['type'])
def test_masks(one_person, mask):
    _, (one, other) = draws(one_person, [CROP, PACK[0], mask, PACK[1]])
    assert_same_mean(one, other, slack=.01)
    if mask['type'].startswith('Motion'):  # the joint that runs is hidden
        for share in (one.double().mean(0), other.double().mean(0)):
            assert share[:, 2].mean() > share[:, 3:].mean() + .1
