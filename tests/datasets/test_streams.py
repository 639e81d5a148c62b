# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Bones and motion: as MMAction2 makes them, and for bodies it has not."""
import numpy as np
import pytest
from mmaction.datasets.transforms import GenSkeFeat

from skel_ssl.datasets import PoseGenSkeFeat, get_layout
from skel_ssl.registry import TRANSFORMS

STREAMS = ('j', 'b', 'jm', 'bm')


def make_clip(persons=2, frames=6, joints=25, coordinates=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(persons, frames, joints, coordinates)).astype('f4')


def run(transform, keypoint, **results):
    results = dict(keypoint=keypoint, frame_dir='S001', **results)
    return transform(results)['keypoint']


@pytest.mark.parametrize('feats', [[s] for s in STREAMS] +
                         [['j', 'b'], ['bm', 'j', 'jm', 'b']])
def test_ntu25_is_mmaction2(feats):
    clip = make_clip()
    before = clip.copy()
    ours = run(PoseGenSkeFeat('ntu25', feats), clip)
    theirs = run(GenSkeFeat('nturgb+d', feats), before.copy())
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(clip, before)


def test_bones_of_kinect20_by_hand():
    """Inwards, to the shoulder centre, which is where the trunk meets."""
    inwards = {
        'hip centre': 'spine',
        'spine': 'shoulder centre',
        'head': 'shoulder centre',
        'left shoulder': 'shoulder centre',
        'left elbow': 'left shoulder',
        'left wrist': 'left elbow',
        'left hand': 'left wrist',
        'left hip': 'hip centre',
        'left knee': 'left hip',
        'left ankle': 'left knee',
        'left foot': 'left ankle',
    }
    inwards.update({
        child.replace('left', 'right'): parent.replace('left', 'right')
        for child, parent in list(inwards.items())
    })
    clip = make_clip(joints=20)
    bones = run(PoseGenSkeFeat('kinect20', ['b']), clip)
    names = get_layout('kinect20').joints
    for i, name in enumerate(names):
        parent = names.index(inwards.get(name, name))
        np.testing.assert_array_equal(bones[:, :, i],
                                      clip[:, :, i] - clip[:, :, parent])
    assert not bones[:, :, names.index('shoulder centre')].any()


def test_motion_by_loop():
    clip = make_clip(joints=20)
    bones = run(PoseGenSkeFeat('kinect20', ['b']), clip)
    for stream, source in (('jm', clip), ('bm', bones)):
        motion = run(PoseGenSkeFeat('kinect20', [stream]), clip)
        for t in range(5):
            np.testing.assert_array_equal(motion[:, t],
                                          source[:, t + 1] - source[:, t])
        assert not motion[:, 5].any()


@pytest.mark.parametrize('stream', STREAMS)
def test_absent_persons_and_copies(stream):
    clip = make_clip(3)
    clip[1] = 0
    clip[2] = clip[0]
    out = run(PoseGenSkeFeat('ntu25', [stream]), clip)
    assert out[0].any() and not out[1].any()
    np.testing.assert_array_equal(out[2], out[0])


@pytest.mark.parametrize('stream', STREAMS)
def test_no_motion_from_one_clip_to_the_next(stream):
    clips = [make_clip(frames=6)[:, :3], make_clip(frames=6)[:, 3:]]
    transform = PoseGenSkeFeat('ntu25', [stream])
    together = run(transform, np.concatenate(clips, 1), num_clips=2)
    alone = [run(transform, clip) for clip in clips]
    np.testing.assert_array_equal(together, np.concatenate(alone, 1))


def test_flat_poses_and_a_body_of_ones_own():
    own = dict(
        name='stick',
        joints=('top', 'bottom'),
        bones=((0, 1), ),
        parts={'all': (0, 1)},
        centre=1)
    clip = make_clip(1, 2, 2, 2)
    out = run(PoseGenSkeFeat(own, ('b', 'j')), clip)
    np.testing.assert_array_equal(out[..., 2:], clip)
    np.testing.assert_array_equal(out[:, :, 0, :2],
                                  clip[:, :, 0] - clip[:, :, 1])
    assert not out[:, :, 1, :2].any()


def test_registered_and_shown():
    assert TRANSFORMS.get('PoseGenSkeFeat') is PoseGenSkeFeat
    shown = repr(PoseGenSkeFeat('kinect20', ('j', 'bm')))
    assert repr(eval(shown)) == shown
    assert "layout='kinect20'" in shown and "['j', 'bm']" in shown


@pytest.mark.parametrize('feats', [['x'], 'bm', 'j', [], ['j', 'j'], ['j', 1]])
def test_unknown_streams(feats):
    with pytest.raises(ValueError, match='feats=.*each once') as error:
        PoseGenSkeFeat('ntu25', feats)
    assert repr(feats) in str(error.value)


def test_unknown_layout():
    with pytest.raises(ValueError, match="no layout 'nobody'"):
        PoseGenSkeFeat('nobody')


@pytest.mark.parametrize('results, said', [
    (dict(keypoint=make_clip(joints=20)), "20 joints.*'ntu25' has 25"),
    (dict(keypoint=make_clip(coordinates=4)), '4 coordinates'),
    (dict(keypoint=make_clip(), num_clips=4), '6 frames.*num_clips=4'),
    (dict(keypoint=make_clip()[0]), r'\(6, 25, 3\)'),
    (dict(keypoint=make_clip(), keypoint_score=np.ones((2, 6, 25))),
     "'keypoint_score'"),
    (dict(), "no 'keypoint'"),
])
def test_bad_clips_are_named(results, said):
    with pytest.raises(ValueError, match=said) as error:
        PoseGenSkeFeat('ntu25')(dict(results, frame_dir='S001'))
    assert "PoseGenSkeFeat, clip 'S001'" in str(error.value)
