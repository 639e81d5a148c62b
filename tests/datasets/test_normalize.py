# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Alignment and centring of clips."""
import numpy as np
import pytest

from skel_ssl.datasets import PosePreNormalize3D
from tests.datasets.pose_clips import make_clip, run


def test_normalisation_by_hand():
    """Person 1 is seen more often: it leads, and its spine mid is zero."""
    clip = make_clip(2, 4)
    clip[0, :2] = 0
    clip[1, 3] = 0
    clip[1, 1, 7] = 0
    results = run(
        PosePreNormalize3D(align_spine=False, align_shoulder=False), clip)
    out = results['keypoint']
    assert out.shape == (2, 3, 25, 3) and results['total_frames'] == 3
    np.testing.assert_array_equal(results['body_center'], clip[1, 0, 1])
    np.testing.assert_array_equal(out[0, 0], clip[1, 0] - clip[1, 0, 1])
    np.testing.assert_array_equal(out[1, 2], clip[0, 2] - clip[1, 0, 1])
    assert not out[1, :2].any() and not out[0, 1, 7].any()


def test_alignment_turns_spine_and_shoulders():
    upright = run(PosePreNormalize3D(align_shoulder=False), make_clip())
    spine = upright['keypoint'][0, 0, 1] - upright['keypoint'][0, 0, 0]
    np.testing.assert_allclose(spine[:2], 0, atol=1e-6)
    assert spine[2] > 0
    pose = run(PosePreNormalize3D(), make_clip())['keypoint'][0, 0]
    shoulders = pose[8] - pose[4]
    np.testing.assert_allclose(shoulders[1:], 0, atol=1e-6)
    assert shoulders[0] > 0


@pytest.mark.parametrize('align', [False, True])
def test_person_0_empty_person_1_present(align):
    clip = make_clip(2)
    alone = clip[1:].copy()
    clip[0] = 0
    transform = PosePreNormalize3D(align, align)
    out = run(transform, clip)['keypoint']
    np.testing.assert_array_equal(out[:1], run(transform, alone)['keypoint'])
    assert not out[1].any()


@pytest.mark.parametrize('layout, joints, centre, expected', [
    ('ntu25', 25, None, 1),
    ('kinect20', 20, None, 19),
    ('kinect20', 20, 1, 1),
    ('ntu25', 25, 20, 20),
])
def test_centre_joint(layout, joints, centre, expected):
    clip = make_clip(joints=joints)
    transform = PosePreNormalize3D(False, False, layout, centre)
    results = run(transform, clip)
    np.testing.assert_array_equal(results['body_center'],
                                  clip[0, 0, expected])
    assert not results['keypoint'][0, 0, expected].any()


def test_normalisation_passes_a_clip_of_nobody():
    clip = np.zeros((2, 6, 25, 3))
    results = run(PosePreNormalize3D(), clip)
    assert results['keypoint'] is clip and 'body_center' not in results


def test_values_that_add_up_to_zero_are_not_nobody():
    clip = make_clip(1, 2)
    clip[0, 1] = -clip[0, 0]
    assert clip.sum() == 0
    assert 'body_center' in run(PosePreNormalize3D(), clip)


@pytest.mark.parametrize('clip, extra, said', [
    (make_clip(3), {}, '3 persons.*invalid='),
    (make_clip(joints=20), {}, '20 joints.*ntu25.*layout='),
    (np.full((1, 6, 25, 3), 1e-9), {}, 'no frame holds a person'),
    (make_clip(), dict(total_frames=5), "'total_frames' is 5.*6 frames"),
])
def test_normalisation_says_what_it_cannot_do(clip, extra, said):
    with pytest.raises(ValueError, match=said):
        run(PosePreNormalize3D(), clip, **extra)
