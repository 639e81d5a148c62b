# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What every transform keeps to, whatever clip comes."""
import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

import skel_ssl.datasets.transforms as transforms
from skel_ssl.datasets.layouts import LAYOUTS, get_layout
from skel_ssl.models.ops.masking import num_kept

from .common import JUNK, examples, outcome

KINDS = st.sampled_from(['f2', 'f4', 'f8', '>f4', 'i2', 'i4', 'u1', 'u2'])
VALUES = st.sampled_from([0., -0., 1., -1., .5, 3., 100., 250.])
FLOATS = st.sampled_from([1e-30, 1e-9, -1e4, 6e4])
HUGE = st.sampled_from([1e9, -1e12, 1e15])


@st.composite
def clips(draw, joints=None, coordinates=None, kind=None):
    """(M, T, V, C): still or moving persons, absent ones and copies."""
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 9)),
             joints or draw(st.sampled_from([25, 20, 17, 1])),
             coordinates or draw(st.integers(1, 4)))
    kind = kind or draw(KINDS)
    values = VALUES
    if kind != 'f2' and 'f' in kind:
        values = values | FLOATS | HUGE
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    still = rng.normal(0, 1, shape[2:]) * draw(st.sampled_from([0, 1, 1]))
    moving = rng.normal(0, draw(st.sampled_from([0, .1, 1])), shape).cumsum(1)
    clip = still + moving + draw(st.sampled_from([0, 3]))
    for _ in range(draw(st.integers(0, 3))):
        at = tuple(draw(st.integers(0, size - 1)) for size in shape)
        clip[at[:draw(st.integers(1, 4))]] = draw(values)
    if kind in ('u1', 'u2'):
        clip = abs(clip) * 20 % 250
    if shape[0] == 2:
        clip[1] = dict(absent=0, copy=clip[0], other=clip[1])[draw(
            st.sampled_from(['absent', 'copy', 'other']))]
    clip[:, :draw(st.integers(0, 2))] = 0
    return clip.astype(kind)


def results_of(keypoint, **more):
    return dict(keypoint=keypoint, total_frames=keypoint.shape[1],
                frame_dir='a clip', **more)


def body_of(keypoint, **names):
    number = keypoint.shape[2]
    return next((name for name, body in LAYOUTS.items()
                 if body.num_joints == number), 'ntu25')


def run(transform, keypoint, seed=0, **more):
    """What the transform makes of a clip; None if it refuses it.

    The array that comes in stays as it is, and the same seed gives the same.
    """
    before, found = keypoint.copy(), []
    for _ in range(2):
        np.random.seed(seed)
        results = results_of(keypoint, **copy.deepcopy(more))
        found.append(outcome(lambda: transform(results),  # noqa: B023
                             naming=type(transform).__name__))
        np.testing.assert_array_equal(keypoint, before)
        assert keypoint.dtype == before.dtype
    if found[0] is None:
        assert found[1] is None
        return None
    for key in found[0]:
        np.testing.assert_equal(found[0][key], found[1][key])
    return found[0]


def made_of(keypoint):
    """Every transform of keypoints that a clip can go through."""
    layout = body_of(keypoint)
    return [
        transforms.PoseRandomRotate(.3),
        transforms.PoseRandomRotate((np.pi, 0, 1)),
        transforms.PoseRandomScale(.2),
        transforms.PoseRandomScale((0, .9, .1)),
        transforms.PoseRandomShear(.5), transforms.PoseRandomShear(0),
        transforms.PoseRandomFlip(1, layout),
        transforms.PoseRandomFlip(0, layout),
        transforms.PoseJitter(.1), transforms.PoseJitter(.1, 'box'),
        transforms.PoseJitter(0),
        transforms.PoseTemporalCropResize(7, min_frames=2),
        transforms.PoseTemporalCropResize(3, (.01, .5), 1, num_clips=2),
        transforms.PoseTemporalCropResize(12, (.5, )),
        transforms.PosePreNormalize3D(False, False, layout),
        *([transforms.PosePreNormalize3D(True, True, layout)]
          if LAYOUTS[layout].spine else []),
        transforms.PosePreNormalize2D((100, 200)),
        *(transforms.PoseGenSkeFeat(layout, feats)
          for feats in (['j'], ['b'], ['jm', 'bm', 'b', 'j'])),
    ]


@examples(120)
@given(clips(), st.integers(0, 2**32 - 1))
def test_finite_in_finite_out(keypoint, seed):
    absent = ~keypoint.any((1, 2, 3))
    copies = len(keypoint) == 2 and np.array_equal(*keypoint)
    for transform in made_of(keypoint):
        results = run(transform, keypoint, seed)
        if results is None:
            continue
        made = results['keypoint']
        assert made.ndim == 4 and made.dtype.kind in 'fiu', transform
        assert made.shape[0] == keypoint.shape[0]
        assert results['total_frames'] == made.shape[1] or isinstance(
            transform, transforms.PoseTemporalCropResize)
        assert np.isfinite(made).all(), transform
        if not absent.all() and isinstance(
                transform, transforms.PosePreNormalize3D):
            assert sum(~made.any((1, 2, 3))) >= absent.sum()
        else:
            assert not made[absent].any(), transform
        if copies:
            np.testing.assert_array_equal(*made, err_msg=repr(transform))


@examples(60)
@given(clips(kind='f4'), st.sampled_from([np.nan, np.inf, -np.inf]),
       st.integers(0, 99))
def test_what_is_not_finite_stays_or_is_refused(keypoint, value, seed):
    keypoint[0, -1, 0] = value
    for transform in made_of(keypoint):
        with np.errstate(all='ignore'):
            results = run(transform, keypoint, seed)
        if results is not None and not isinstance(
                transform, transforms.PoseTemporalCropResize):
            assert not np.isfinite(results['keypoint']).all(), transform


@examples(60)
@given(clips(coordinates=3, kind='f8'), st.integers(0, 2**32 - 1))
def test_geometry(keypoint, seed):
    assume(abs(keypoint).max() < 1e6)
    layout = body_of(keypoint)
    turned = run(transforms.PoseRandomRotate(3), keypoint, seed)['keypoint']
    size = 1 + abs(keypoint).max()
    for axis in (1, 2):  # distances of frames and of joints
        np.testing.assert_allclose(
            np.linalg.norm(np.diff(turned, axis=axis), axis=-1),
            np.linalg.norm(np.diff(keypoint, axis=axis), axis=-1),
            atol=1e-9 * size)
    flip = transforms.PoseRandomFlip(1, layout)
    once = run(flip, keypoint)
    if once is not None:
        back = run(flip, once['keypoint'])['keypoint']
        np.testing.assert_array_equal(back, keypoint)
    same = run(transforms.PoseTemporalCropResize(
        keypoint.shape[1], (1., )), keypoint)['keypoint']
    if keypoint[:, -1].any():
        np.testing.assert_array_equal(same, keypoint)
    for still in (transforms.PoseRandomScale(0), transforms.PoseRandomShear(0),
                  transforms.PoseRandomRotate(0), transforms.PoseJitter(0),
                  transforms.PoseRandomFlip(0, layout)):
        made = run(still, keypoint, seed)
        if made is not None:
            np.testing.assert_allclose(made['keypoint'], keypoint, rtol=1e-12)


@examples(80)
@given(clips(coordinates=3), st.booleans(), st.booleans())
@example(np.arange(1, 76, dtype='u1').reshape(1, 1, 25, 3), False, False)
@example(np.full((1, 1, 25, 3), 30000, 'i2') *
         (-1)**np.arange(25, dtype='i2')[:, None], False, False)
def test_normalisation_centres_and_keeps_distances(keypoint, spine, shoulder):
    layout = body_of(keypoint)
    if get_layout(layout).spine is None:
        spine = shoulder = False
    transform = transforms.PosePreNormalize3D(spine, shoulder, layout)
    results = run(transform, keypoint)
    if results is None or 'body_center' not in results:
        return
    made = results['keypoint']
    assert not made[0, 0, transform._centre].any()
    # distances between the seen joints of the leading person, frame by frame
    wide = keypoint.astype('f8')
    occupied = (abs(wide) > 1e-8).any((2, 3))
    lead = occupied.sum(1).argmax()
    wide = wide[lead, occupied[lead]]
    seen = wide.any(-1)
    size = abs(wide).max()
    atol = size * (1e-2 if keypoint.dtype == 'f2' else 1e-5) + 1e-30
    for t, frame in enumerate(wide):
        np.testing.assert_allclose(
            np.linalg.norm(np.diff(made[0, t, seen[t]].astype('f8'), axis=0),
                           axis=-1),
            np.linalg.norm(np.diff(frame[seen[t]], axis=0), axis=-1),
            atol=atol)


@examples(60)
@given(clips(coordinates=2), st.sampled_from(['none', 'some', 'all']),
       st.one_of(st.tuples(st.integers(-1, 2000), st.integers(-1, 2000)),
                 st.tuples(st.floats(), st.floats()), JUNK))
@example(np.ones((1, 1, 17, 2), 'f4'), 'all', (float('inf'), 5.))
def test_normalisation_2d(keypoint, scores, img_shape):
    more = {}
    if scores != 'none':
        more['keypoint_score'] = np.full(keypoint.shape[:3], 1., 'f4') * (
            scores == 'all')
    transform = transforms.PosePreNormalize2D()
    results = run(transform, keypoint, img_shape=img_shape, **more)
    if results is not None:
        assert np.isfinite(results['keypoint']).all()
        if scores == 'some':
            assert not results['keypoint'].any()


@examples(80)
@given(clips(), st.integers(1, 20), st.integers(1, 3), st.booleans(),
       st.integers(0, 2**32 - 1))
def test_chosen_frames_exist(keypoint, clip_len, num_clips, test, seed):
    transform = transforms.PoseUniformSampleFrames(clip_len, num_clips, test)
    results = run(transform, keypoint, seed)
    chosen = results['frame_inds']
    assert chosen.shape == (num_clips * clip_len, )
    assert 0 <= chosen.min() and chosen.max() < keypoint.shape[1]


MASKS = st.one_of(
    st.builds(transforms.RandomMask, st.integers(1, 3),
              st.floats(.01, .99), st.booleans(), st.integers(1, 3)),
    st.builds(transforms.MotionAwareMask, st.integers(1, 3),
              st.floats(.01, .99), st.floats(-1, 2), st.booleans(),
              st.integers(1, 3)),
    st.builds(transforms.MotionAwareTubeMask, st.integers(1, 3),
              st.floats(.01, .99), st.integers(1, 3), st.floats(0, 9),
              st.booleans(), st.integers(1, 3)),
    st.builds(transforms.BodyPartMask, st.sampled_from(['ntu25', 'coco17'])),
    st.builds(transforms.BodyPartMask, st.just('ntu25'), st.just('random'),
              st.integers(1, 5), st.sampled_from(['clip', 'frame'])),
    st.builds(transforms.BodyPartMask, st.just('ntu25'), mask_mode=st.just(
        'joint'), num_mask_joints=st.integers(1, 24),
        patch_len=st.integers(1, 3)))


@examples(150)
@given(MASKS, clips(), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_masks(mask, keypoint, num_clips, seed):
    frames = np.stack([keypoint] * num_clips)  # as FormatGCNInput makes them
    before, made = frames.copy(), []
    for _ in range(2):
        np.random.seed(seed)
        made.append(outcome(lambda: mask(dict(keypoint=frames))))
    np.testing.assert_array_equal(frames, before)
    if made[0] is None:
        return
    found = made[0]['mask']
    assert torch.equal(found, made[1]['mask']) and found.dtype == torch.bool
    shape = (num_clips, len(keypoint), mask.num_masks,
             keypoint.shape[1] // mask.patch_len, keypoint.shape[2])
    assert found.shape == tuple(
        n for i, n in enumerate(shape) if i != 2 or n > 1)
    hidden = found.flatten(-2).sum(-1)
    assert hidden.min() > 0 and hidden.max() < shape[3] * shape[4]
    expected = mask.num_hidden(*shape[3:])
    if expected is not None:
        assert (hidden == expected).all()
    if isinstance(mask, transforms.RandomMask):
        kept = num_kept(shape[3] * shape[4], mask.mask_ratio)
        assert (hidden == shape[3] * shape[4] - kept).all()
    if getattr(mask, 'return_rank', False):
        rank = made[0]['mask_rank']
        kept = shape[3] * shape[4] - expected
        if isinstance(mask, transforms.MotionAwareTubeMask):
            kept //= shape[3]
        assert torch.equal(rank >= kept, found)


NUMBERS = st.one_of(
    st.sampled_from([float('nan'), float('inf'), -1, 0, 1.5]), st.floats())
LIMITS = st.one_of(NUMBERS, st.lists(NUMBERS, max_size=4), st.none())
COUNTS = st.integers(-2, 30)


@pytest.mark.parametrize('kind, settings', [
    ('PoseRandomRotate', dict(theta=LIMITS)),
    ('PoseRandomScale', dict(scale=LIMITS)),
    ('PoseRandomShear', dict(shear=NUMBERS)),
    ('PoseRandomFlip', dict(prob=NUMBERS, layout=st.just('coco17'))),
    ('PoseJitter', dict(sigma=NUMBERS)),
    ('PoseTemporalCropResize', dict(
        clip_len=COUNTS, min_frames=COUNTS, num_clips=COUNTS,
        p_interval=st.lists(NUMBERS, max_size=3))),
    ('RandomMask', dict(mask_ratio=NUMBERS, patch_len=COUNTS)),
    ('MotionAwareMask', dict(mask_ratio=NUMBERS, tau=st.floats(-9, 9))),
    ('MotionAwareTubeMask', dict(tube_len=COUNTS, num_masks=COUNTS)),
    ('BodyPartMask', dict(patch_len=COUNTS))])
def test_settings_are_refused_or_work(kind, settings):
    """A setting that means nothing is not found out in the first epoch."""
    keypoint = np.random.default_rng(0).normal(size=(1, 12, 17, 3))
    clip = keypoint[None] if 'Mask' in kind else keypoint

    @examples(30)
    @given(st.fixed_dictionaries(settings))
    def try_them(settings):
        transform = outcome(lambda: getattr(transforms, kind)(**settings))
        # an angle, or a noise, that no float32 can take
        assume(not any(isinstance(x, float) and abs(x) > 1e30
                       for value in settings.values()
                       for x in np.atleast_1d(value)))
        if transform is None:
            return
        made = outcome(lambda: transform(results_of(clip)))
        if made is not None:
            assert np.isfinite(made['keypoint']).all()

    try_them()


@examples(150)
@given(st.sampled_from(sorted(set(transforms.__all__) - {'PoseTransform'})),
       st.one_of(JUNK.filter(lambda x: isinstance(x, np.ndarray)
                             and x.dtype.kind in 'fiu'),
                 st.builds(np.ones, st.lists(st.sampled_from([0, 1, 2, 25]),
                                             max_size=6))))
@example('PoseJitter', np.ones((0, 1, 25, 3)))
def test_other_shapes_are_refused(kind, keypoint):
    settings = dict(PoseTemporalCropResize=dict(clip_len=3),
                    PoseUniformSampleFrames=dict(clip_len=3),
                    PoseGenSkeFeat=dict(layout='ntu25'),
                    BodyPartMask=dict(layout='ntu25')).get(kind, {})
    transform = getattr(transforms, kind)(**settings)
    results = dict(keypoint=keypoint, frame_dir='a', total_frames=(
        keypoint.shape[1] if keypoint.ndim > 1 else 0))
    outcome(lambda: transform(results))
