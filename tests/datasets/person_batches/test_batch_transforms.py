# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Each transform does to a batch what it does to clips, number by number."""
import numpy as np
import pytest
import torch

from skel_ssl.datasets import (
    PoseGenSkeFeat,
    PoseJitter,
    PoseRandomFlip,
    PoseRandomRotate,
    PoseRandomScale,
    PoseRandomShear,
    PoseTransform,
    get_layout,
)
from skel_ssl.datasets.person_batches.random_numbers import Draw
from skel_ssl.datasets.transforms.streams import STREAMS
from tests.datasets.person_batches.persons import FixedDraw, feed, walk

# transform, numbers that it takes for a person of 7 frames
TRANSFORMS = [
    (PoseRandomRotate(), 3),
    (PoseRandomRotate((0., 0., 1.57)), 3),
    (PoseRandomScale((.1, .2, .3)), 3),
    (PoseRandomShear(), 6),
    (PoseRandomFlip(), 1),
    (PoseRandomFlip(1.), 1),
    (PoseRandomFlip(0.), 1),
    (PoseJitter(.3), 7 * 25 * 3),
    (PoseJitter(.3, 'box'), 7 * 25 * 3),
]
STREAM_SETS = [['j'], ['b'], ['bm', 'j'], list(STREAMS)]


def persons(count=9, joints=25, seed=0):
    """Persons who are absent from a frame, and have joints not seen."""
    made = walk(np.random.default_rng(seed), count, 7, joints)
    made[:, 3] = 0
    made[1:, 5, 4] = 0
    made[-1] = 0
    return made


def clip_by_clip(transform, batch, monkeypatch, numbers):
    made = []
    for person, row in zip(batch, numbers):
        with monkeypatch.context() as patch:
            used = feed(patch, row)
            made.append(transform(dict(keypoint=person[None]))['keypoint'][0])
            assert used.count == (len(row) if person.any() else used.count)
    return np.stack(made)


@pytest.mark.parametrize('transform, count', TRANSFORMS, ids=repr)
def test_as_clip_by_clip(transform, count, monkeypatch):
    batch = persons()
    draw = Draw(torch.arange(len(batch)))
    fixed = FixedDraw(*draw.uniform('x', count))
    made = transform.on_batch(torch.from_numpy(batch.copy()), fixed)
    assert made.dtype == torch.float32
    expected = clip_by_clip(transform, batch, monkeypatch, fixed.numbers)
    np.testing.assert_allclose(made, expected, rtol=0, atol=2e-6)
    # Who is absent stays so, exactly; so does a joint that was not seen.
    there = PoseTransform.valid_joints(dict(keypoint=expected))
    np.testing.assert_array_equal((made != 0).any(-1), there)
    assert not there[:, 3].any() and not there[-1].any() and there[0].any()


@pytest.mark.parametrize('feats', STREAM_SETS, ids=str)
@pytest.mark.parametrize('layout, joints', [('ntu25', 25), ('kinect20', 20)])
def test_streams(feats, layout, joints):
    transform = PoseGenSkeFeat(layout, feats)
    batch = persons(joints=joints)
    made = transform.on_batch(torch.from_numpy(batch.copy()), None)
    expected = transform(dict(keypoint=batch))['keypoint']
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize('name, joints', [('ntu25', 25), ('kinect20', 20),
                                          ('coco17', 17)])
def test_rotation_of_any_number_of_joints(name, joints, monkeypatch):
    assert get_layout(name).num_joints == joints
    batch = persons(joints=joints)
    draw = FixedDraw(*np.random.default_rng(0).random((len(batch), 3)))
    made = PoseRandomRotate(3.).on_batch(torch.from_numpy(batch), draw)
    expected = clip_by_clip(
        PoseRandomRotate(3.), batch, monkeypatch, draw.numbers)
    np.testing.assert_allclose(made, expected, rtol=0, atol=3e-6)


def test_what_has_no_batch_form_says_so():

    class Half(PoseTransform):
        batch_form = 'joints'

        def transform(self, results):
            return results

    with pytest.raises(NotImplementedError, match="Half .*'joints'.*on_batch"):
        Half().on_batch(torch.zeros(1, 1, 1, 3), None)
    with pytest.raises(NotImplementedError, match='Half .*plan_frames'):
        Half().plan_frames(torch.ones(1), None)
