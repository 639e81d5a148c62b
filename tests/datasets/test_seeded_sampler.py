# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import copy
import pickle

import numpy as np
import pytest
import torch
from mmaction.datasets.transforms import UniformSampleFrames
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from skel_ssl.datasets import (
    PoseJitter,
    PoseRandomRotate,
    SeededIndex,
    SeededSampler,
    SkeletonDataset,
)
from skel_ssl.datasets.seeded_sampler import sample_seed
from skel_ssl.registry import DATA_SAMPLERS

NUM_CLIPS = 14


@pytest.fixture
def in_group(monkeypatch):
    """Make the samplers built next belong to one rank of several."""

    def in_group(rank, world_size):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info',
                            lambda: (rank, world_size))

    return in_group


def keep_array(results):
    """Draws from torch too, as a mask transform does."""
    results['keypoint'] = results['keypoint'] + torch.rand(1).item()
    return results['frame_dir'], results['keypoint'][:, results['frame_inds']]


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    clips = [
        dict(
            frame_dir=f'{i}',
            label=0,
            total_frames=30,
            keypoint=rng.normal(size=(1, 30, 25, 3)).astype(np.float32))
        for i in range(NUM_CLIPS)
    ]
    path = tmp_path / 'clips.pkl'
    path.write_bytes(pickle.dumps(dict(split={}, annotations=clips)))
    return SkeletonDataset(str(path), [
        PoseRandomRotate(),
        PoseJitter(),
        UniformSampleFrames(8), keep_array
    ])


def load(dataset, sampler, epochs, num_workers=0, batch_size=4):
    """All batches of some epochs: lists of (names, arrays)."""
    loader = DataLoader(
        dataset, batch_size, sampler=sampler, num_workers=num_workers)
    batches = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        batches += [(names, arrays.numpy()) for names, arrays in loader]
    return batches


def assert_equal(batches, others):
    assert len(batches) == len(others) > 0
    for batch, other in zip(batches, others):
        assert batch[0] == other[0]
        np.testing.assert_array_equal(batch[1], other[1])


# ------------------------------------------------------------------- an index


def test_index_is_an_int_that_remembers():
    index = SeededIndex(5, 17)
    assert index == 5 and [0, 1, 2, 3, 4, 'x'][index] == 'x'
    assert repr(index) == 'SeededIndex(5, seed=17)'
    for other in (pickle.loads(pickle.dumps(index)), copy.deepcopy(index),
                  index + 3 - 3, -3 + index + 3, index % 6):
        assert type(other) is SeededIndex
        assert (int(other), other.seed) == (5, 17)


def test_seeds_differ_in_every_direction_and_stay_what_they_are():
    seeds = [
        sample_seed(seed, epoch, index) for seed in range(4)
        for epoch in range(10) for index in range(100)
    ]
    assert len(set(seeds)) >= len(seeds) - 1
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert abs(np.mean(seeds) / 2**31 - 1) < .05
    # these are in people's runs: a change breaks their resume
    assert sample_seed(0, 0, 0) == 4088532484
    assert sample_seed(3407, 12, 40090) == 1366445306


# ---------------------------------------------------------------- the sampler


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('round_up', [True, False])
@pytest.mark.parametrize('rank, world_size', [(0, 1), (0, 3), (2, 3)])
def test_order_is_that_of_default_sampler(in_group, shuffle, round_up, rank,
                                          world_size):
    in_group(rank, world_size)
    options = dict(shuffle=shuffle, seed=11, round_up=round_up)
    ours = SeededSampler(range(NUM_CLIPS), **options)
    theirs = DefaultSampler(range(NUM_CLIPS), **options)
    for epoch in (0, 0, 5):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        assert list(ours) == list(theirs)
        assert len(ours) == len(theirs) == len(list(ours))
        assert [x.seed for x in ours
                ] == [sample_seed(11, epoch, i) for i in theirs]


def test_no_clip_twice_without_round_up(in_group):
    seen = []
    for rank in range(4):
        in_group(rank, 4)
        seen += SeededSampler(range(NUM_CLIPS), seed=0, round_up=False)
    assert sorted(seen) == list(range(NUM_CLIPS))


def test_registered_and_built_with_the_runners_seed():
    sampler = DATA_SAMPLERS.build(
        dict(type='SeededSampler', shuffle=False),
        default_args=dict(dataset=range(3), seed=4))
    assert type(sampler) is SeededSampler and sampler.seed == 4


def test_negative_seed_is_refused():
    with pytest.raises(ValueError, match='not -1'):
        SeededSampler(range(3), seed=-1)


# ------------------------------------------------------------ with a dataset


def test_any_number_of_workers_gives_the_same_batches(dataset):
    alone = load(dataset, SeededSampler(dataset, seed=3), (0, 1))
    np.random.seed(1)
    torch.manual_seed(1)
    helped = load(
        dataset, SeededSampler(dataset, seed=3), (0, 1), num_workers=2)
    assert_equal(alone, helped)


def test_epochs_augment_differently_and_a_resume_continues(dataset):
    sampler = SeededSampler(dataset, shuffle=False, seed=3)
    first, second = (load(dataset, sampler, [e], batch_size=NUM_CLIPS)
                     for e in (0, 1))
    assert first[0][0] == second[0][0]
    assert not any(map(np.array_equal, first[0][1], second[0][1]))
    resumed = SeededSampler(dataset, shuffle=False, seed=3)
    assert_equal(load(dataset, resumed, [1], batch_size=NUM_CLIPS), second)


def test_every_validation_sees_the_same(dataset):
    """A validation loop never sets the epoch."""
    dataset.test_mode = True
    loader = DataLoader(
        dataset, 4, sampler=SeededSampler(dataset, shuffle=False, seed=3))
    rounds = [[(names, arrays.numpy()) for names, arrays in loader]
              for _ in range(2)]
    assert_equal(*rounds)


def test_another_seed_is_another_augmentation(dataset):
    one, two = (load(
        dataset,
        SeededSampler(dataset, shuffle=False, seed=seed), [0],
        batch_size=NUM_CLIPS)[0][1] for seed in (3, 4))
    assert not any(np.array_equal(a, b) for a, b in zip(one, two))


def test_two_ranks_share_the_batches_of_one_process(dataset, in_group):
    whole = load(dataset, SeededSampler(dataset, seed=3), (0, 1), batch_size=4)
    ranks = []
    for rank in range(2):
        in_group(rank, 2)
        ranks.append(
            load(
                dataset, SeededSampler(dataset, seed=3), (0, 1),
                batch_size=2))
    assert len(whole) == len(ranks[0]) == len(ranks[1]) == 8
    for (names, arrays), *parts in zip(whole, *ranks):
        for rank, (part_names, part_arrays) in enumerate(parts):
            assert part_names == names[rank::2]
            np.testing.assert_array_equal(part_arrays, arrays[rank::2])
