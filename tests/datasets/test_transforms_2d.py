# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Transforms of poses in pixels, with and without scores."""
import numpy as np
import pytest
from mmaction.datasets.transforms import PreNormalize2D

from skel_ssl.datasets import (
    PoseJitter,
    PosePreNormalize2D,
    PosePreNormalize3D,
    PoseRandomFlip,
    PoseRandomRotate,
    PoseRandomScale,
    PoseRandomShear,
    PoseTemporalCropResize,
)
from skel_ssl.datasets.transforms.jitter import box_diagonal
from skel_ssl.registry import TRANSFORMS
from tests.datasets.coco_clips import ABSENT, coco_clip

KEEPING = [
    PoseRandomRotate(),
    PoseRandomScale(),
    PoseRandomShear(),
    PoseJitter(),
    PosePreNormalize2D(),
]
REFUSING = [
    PoseRandomFlip(prob=0, layout='coco17'),
    PoseTemporalCropResize(8, min_frames=1),
    PosePreNormalize3D(False, False, 'coco17'),
]
BOX = PoseJitter(sigma=.01, unit='box')


def name_of(transform):
    return type(transform).__name__


def with_coordinates(transform):
    """A clip with as many coordinates as the transform needs."""
    clip = coco_clip(variant='absent')
    if transform.num_coordinates == 3:
        clip['keypoint'] = np.repeat(clip['keypoint'], 2, -1)[..., :3]
    return clip


# --------------------------------------------------------------------- scores


@pytest.mark.parametrize('transform', KEEPING, ids=name_of)
def test_joints_that_stay_keep_their_scores(transform):
    clip = with_coordinates(transform)
    scores = clip['keypoint_score'].copy()
    out = transform(clip)
    np.testing.assert_array_equal(out['keypoint_score'], scores)
    assert out['keypoint'].shape[:3] == scores.shape


@pytest.mark.parametrize('transform', REFUSING, ids=name_of)
def test_joints_that_move_would_lose_their_scores(transform):
    clip = with_coordinates(transform)
    with pytest.raises(ValueError, match="'keypoint_score' would no longer"):
        transform(clip)
    del clip['keypoint_score']
    transform(clip)


@pytest.mark.parametrize('transform', KEEPING, ids=name_of)
def test_scores_of_another_shape(transform):
    clip = with_coordinates(transform)
    clip['keypoint_score'] = clip['keypoint_score'][:, 1:]
    with pytest.raises(ValueError, match=r'\(2, 19, 17\).*\(2, 20, 17\)'):
        transform(clip)


# --------------------------------------------------------------------- jitter


def test_a_box_by_hand():
    """3 by 4 without the joint that does not count; a point; nobody."""
    keypoint = np.array([[[1, 1], [4, 2], [2, 5], [90, 90]],
                         [[7, 7], [0, 0], [0, 0], [0, 0]],
                         [[0, 0], [0, 0], [0, 0], [0, 0]]], 'f4')[None]
    valid = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)[None]
    np.testing.assert_array_equal(box_diagonal(keypoint, valid), [[5, 0, 0]])
    deep = np.pad(keypoint, [(0, 0)] * 3 + [(0, 1)])
    deep[0, 0, 1, 2] = 12  # 3 by 4 by 12
    np.testing.assert_array_equal(box_diagonal(deep, valid), [[13, 0, 0]])


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('scored', [True, False])
def test_noise_is_a_share_of_the_box(scored, dtype):
    """Person 1 is ten times larger than person 0."""
    clip = coco_clip(frames=400, dtype=dtype)
    clip['keypoint'][0] = 500 + (clip['keypoint'][0] - 500) / 10
    if not scored:
        del clip['keypoint_score']
    before = clip['keypoint'].astype(np.float64)
    noise = BOX(clip)['keypoint'] - before
    extent = np.ptp(before, axis=2)
    diagonal = np.hypot(extent[..., 0], extent[..., 1])
    share = noise / diagonal[..., None, None]
    for person in share:
        assert person.std() == pytest.approx(.01, rel=.03)
        assert abs(person.mean()) < 4e-4
    assert noise[1].std() > 4 * noise[0].std()
    assert len(np.unique(share)) > .9 * share.size


@pytest.mark.parametrize('unit', ['absolute', 'box'])
def test_joints_with_a_score_of_zero_have_no_noise(unit):
    clip = coco_clip(dtype=np.float64)
    clip['keypoint_score'][0, 3:6, 4] = 0
    clip['keypoint'][0, 3:6, 4] = 1e4  # nor a say in the size of the box
    clip['keypoint'][1, 7, 2] = 0  # seen, in the corner of the image
    before = clip['keypoint'].copy()
    np.random.seed(0)
    after = PoseJitter(.01, unit)(clip)['keypoint']
    moved = (after != before).all(-1)
    np.testing.assert_array_equal(moved, clip['keypoint_score'] > 0)
    assert np.abs(after - before).max() < 50


@pytest.mark.parametrize('variant', ['absent', 'scoreless'])
def test_absent_persons_have_no_noise(variant):
    after = BOX(coco_clip(variant=variant))['keypoint']
    assert not after[1, ABSENT].any() and np.isfinite(after).all()
    present = np.delete(after[1], np.r_[ABSENT], axis=0)
    still = np.delete(coco_clip(variant=variant)['keypoint'][1],
                      np.r_[ABSENT], axis=0)
    assert (present != still).mean() > .99


def test_noise_of_a_clip_without_a_single_score():
    clip = coco_clip(variant='unseen')
    np.testing.assert_array_equal(
        BOX(clip)['keypoint'],
        coco_clip(variant='unseen')['keypoint'])


@pytest.mark.parametrize('unit', ['absolute', 'box'])
def test_a_copy_of_person_0_stays_one(unit):
    clip = coco_clip(variant='absent', persons=3)
    clip['keypoint'][2] = clip['keypoint'][0]
    clip['keypoint_score'][2] /= 2
    after = PoseJitter(.01, unit)(clip)['keypoint']
    np.testing.assert_array_equal(after[2], after[0])
    assert (after[1] != after[0]).any()


def test_draws_are_one_normal_number_a_coordinate_in_order():
    clip = coco_clip(dtype=np.float64)
    diagonal = box_diagonal(clip['keypoint'], clip['keypoint_score'] > 0)
    np.random.seed(5)
    after = BOX(clip)['keypoint']
    np.random.seed(5)
    noise = np.random.normal(size=(2, 20, 17, 2)) * .01
    np.testing.assert_allclose(
        after, coco_clip(dtype=np.float64)['keypoint'] +
        noise * diagonal[..., None, None])


def test_jitter_touches_nothing_that_comes_in():
    clip = coco_clip(variant='absent')
    keypoint = clip['keypoint']
    assert BOX(clip)['keypoint'] is not keypoint
    np.testing.assert_array_equal(keypoint,
                                  coco_clip(variant='absent')['keypoint'])


def test_unknown_unit():
    with pytest.raises(ValueError, match="'absolute' or 'box', not 'pixel'"):
        PoseJitter(unit='pixel')


# -------------------------------------------------------------- normalisation


def by_mmaction2(clip, **kwargs):
    stock = dict(clip, keypoint=clip['keypoint'].astype(np.float32))
    return PreNormalize2D(**kwargs)(stock)['keypoint']


@pytest.mark.parametrize('scored', [True, False])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_as_mmaction2_where_persons_are_there(scored, dtype):
    clip = coco_clip(variant='absent', dtype=dtype)
    clip['img_shape'] = (720, 1281)
    clip['keypoint'][0, 2, 3] = 0  # one joint in the corner of the image
    if not scored:
        del clip['keypoint_score']
    before = clip['keypoint'].copy()
    theirs = by_mmaction2(clip)
    given = clip['keypoint']
    ours = PosePreNormalize2D()(clip)['keypoint']
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(given, before)
    there = np.ones((2, 20), bool)
    there[1, ABSENT] = False
    np.testing.assert_array_equal(ours[there], theirs[there])
    assert (theirs[~there] == -1).all() and not ours[~there].any()
    np.testing.assert_array_equal(ours[0, 2, 3], [-1, -1])


def test_a_joint_that_was_not_seen_of_a_person_who_was_stays():
    clip = coco_clip()
    clip['keypoint_score'][0, 4, :16] = 0
    clip['keypoint_score'][1, 4] = 0
    theirs = by_mmaction2(clip)
    ours = PosePreNormalize2D()(clip)['keypoint']
    assert not ours[1, 4].any()
    theirs[1, 4] = 0
    np.testing.assert_array_equal(ours, theirs)


def test_a_clip_without_a_single_score_becomes_zero():
    assert not PosePreNormalize2D()(coco_clip(variant='unseen'))[
        'keypoint'].any()


def test_the_image_reaches_from_minus_1_to_1():
    corners = np.array([[0, 0], [1920, 1080], [960, 540], [1440, 0]], 'f4')
    expected = [[-1, -1], [1, 1], [0, 0], [.5, -1]]
    for extra in ({}, dict(img_shape=(1080, 1920))):
        out = PosePreNormalize2D()(dict(keypoint=corners[None, None], **extra))
        np.testing.assert_array_equal(out['keypoint'][0, 0], expected)


def test_the_clips_own_size_comes_before_the_arguments():
    clip = coco_clip()
    transform = PosePreNormalize2D(img_shape=(480, 640))
    np.testing.assert_array_equal(
        transform(dict(clip))['keypoint'], by_mmaction2(clip))
    del clip['img_shape']
    np.testing.assert_array_equal(
        transform(dict(clip))['keypoint'],
        by_mmaction2(clip, img_shape=(480, 640)))


@pytest.mark.parametrize('shape', [(0, 640), (480, -1), (480, ), 480, None,
                                   (480, 640, 3), ('480', '640'),
                                   (480, float('nan'))])
def test_sizes_that_make_no_image(shape):
    with pytest.raises(ValueError, match='img_shape=.*both above 0'):
        PosePreNormalize2D(img_shape=shape)
    with pytest.raises(ValueError, match="clip 'clip': img_shape="):
        PosePreNormalize2D()(dict(coco_clip(), img_shape=shape))


def test_poses_in_space_are_refused():
    clip = dict(keypoint=np.ones((1, 6, 17, 3)), frame_dir='S001')
    with pytest.raises(ValueError, match=r"'S001'.*\(1, 6, 17, 3\).* 2\)"):
        PosePreNormalize2D()(clip)


@pytest.mark.parametrize('transform', [
    PoseJitter(.02, 'box'), PosePreNormalize2D((480, 640))], ids=name_of)
def test_registered_and_shown(transform):
    assert TRANSFORMS.get(name_of(transform)) is type(transform)
    shown = repr(transform)
    assert repr(eval(shown)) == shown
