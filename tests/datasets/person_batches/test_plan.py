# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Choosing frames for a batch is choosing them clip by clip."""
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skel_ssl.datasets import PoseTemporalCropResize, PoseUniformSampleFrames
from skel_ssl.datasets.person_batches.plan import FramePlan
from skel_ssl.datasets.person_batches.random_numbers import Draw
from skel_ssl.datasets.transforms import geometry
from tests.datasets.person_batches.persons import FixedDraw, feed

lengths = st.lists(st.integers(1, 320), min_size=1, max_size=6)
exhaustive = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture])


def ramps(counts):
    """Persons whose only coordinate is the number of the frame."""
    frames = torch.cat([torch.arange(float(n)) for n in counts])
    stops = torch.tensor(counts).cumsum(0)
    return frames[:, None, None], stops - torch.tensor(counts)


@exhaustive
@given(
    counts=lengths,
    seed=st.integers(0, 2**32 - 1),
    clip_len=st.sampled_from([1, 2, 7, 90]))
def test_uniform_frames(monkeypatch, counts, seed, clip_len):
    transform = PoseUniformSampleFrames(clip_len)
    draw = Draw(torch.arange(len(counts)) + seed)
    plan = transform.plan_frames(torch.tensor(counts), draw)
    assert plan.after is None and plan.before.dtype == torch.int64
    numbers = draw.uniform('frames', clip_len + 1)
    for i, count in enumerate(counts):
        with monkeypatch.context() as patch:
            feed(patch, numbers[i])
            expected = transform(
                dict(
                    keypoint=np.zeros((1, count, 1, 3)),
                    total_frames=count))['frame_inds']
        np.testing.assert_array_equal(plan.before[i], expected)
    frames, start = ramps(counts)
    assert torch.equal(
        plan.take(frames, start)[..., 0, 0], plan.before.float())


@exhaustive
@given(
    counts=lengths,
    seed=st.integers(0, 2**32 - 1),
    clip_len=st.sampled_from([1, 5, 32, 120]),
    shares=st.sampled_from([(.5, 1.), (.1, .3), (1., 1.), (.95, ), (1., ),
                            (.33, )]),
    min_frames=st.sampled_from([1, 16, 64]))
def test_crop_and_resize(monkeypatch, counts, seed, clip_len, shares,
                         min_frames):
    transform = PoseTemporalCropResize(clip_len, shares, min_frames)
    draw = Draw(torch.arange(len(counts)) + seed)
    plan = transform.plan_frames(torch.tensor(counts), draw)
    numbers = draw.uniform('crop', 2)
    frames, start = ramps(counts)
    made = plan.take(frames + 1, start)
    assert made.shape == (len(counts), clip_len, 1, 1)
    for i, count in enumerate(counts):
        with monkeypatch.context() as patch:
            feed(patch, numbers[i])
            first, stop = transform._crop(count)
        assert plan.before[i].min() >= first
        assert plan.after[i].max() < stop
        clip = np.arange(first + 1, stop + 1, dtype=np.float32)
        expected = geometry.resize_frames(clip[None, :, None, None], clip_len)
        np.testing.assert_allclose(made[i], expected[0], rtol=3e-7)


def test_crops_by_hand():
    """Ten frames: 60 % from the third on, stretched to four."""
    transform = PoseTemporalCropResize(4, (.5, .7), 1)
    plan = transform.plan_frames(
        torch.tensor([10]), FixedDraw([.5, 2.5 / 5]))
    # Places (0.25, 1.75, 3.25, 4.75) of the six frames 2 to 7.
    assert plan.before.tolist() == [[2, 3, 5, 6]]
    assert plan.after.tolist() == [[3, 4, 6, 7]]
    assert plan.weight.tolist() == [[.25, .75, .25, .75]]


def test_taking_frames_by_hand():
    frames = torch.arange(12.).view(6, 1, 2)
    plan = FramePlan(torch.tensor([[0, 1], [2, 0]]))
    taken = plan.take(frames, torch.tensor([0, 3]))
    assert taken.tolist() == [[[[0, 1]], [[2, 3]]], [[[10, 11]], [[6, 7]]]]
    plan = FramePlan(plan.before, torch.tensor([[1, 1], [1, 1]]),
                     torch.tensor([[.25, 0.], [.5, .5]]))
    taken = plan.take(frames, torch.tensor([0, 3]))
    assert taken.tolist() == [[[[.5, 1.5]], [[2, 3]]], [[[9, 10]], [[7, 8]]]]


@pytest.mark.parametrize('clip', [
    np.pad(np.ones((2, 5, 3, 3)), [(0, 0), (0, 4), (0, 0), (0, 0)]),
    np.zeros((1, 5, 3, 3))
])
def test_empty_frames_at_the_end_do_not_count(clip):
    assert PoseTemporalCropResize(8).count_frames(clip) == 5
    assert PoseUniformSampleFrames(8).count_frames(clip) == clip.shape[1]
