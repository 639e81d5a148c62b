# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Augmentations: what they do to clips, and what they refuse."""

import numpy as np
import pytest

from skel_ssl.datasets import (
    PoseJitter,
    PosePreNormalize3D,
    PoseRandomFlip,
    PoseRandomRotate,
    PoseRandomScale,
    PoseRandomShear,
    PoseTemporalCropResize,
    get_layout,
)
from skel_ssl.datasets.transforms import geometry
from skel_ssl.registry import TRANSFORMS
from tests.datasets.pose_clips import make_clip, run

AUGMENTATIONS = [
    PoseRandomRotate(),
    PoseRandomScale(),
    PoseRandomShear(),
    PoseRandomFlip(prob=1),
    PoseJitter(sigma=0.1),
    PoseTemporalCropResize(8, min_frames=1),
    PoseTemporalCropResize(8, (0.5, )),
    PoseTemporalCropResize(8, min_frames=1, num_clips=2),
]


def name_of(transform):
    return type(transform).__name__


# ----------------------------------------------------------- all augmentations


@pytest.mark.parametrize('transform', AUGMENTATIONS, ids=name_of)
def test_absent_persons_stay_zero_and_copies_stay_copies(transform):
    clip = make_clip(3)
    clip[1] = 0
    clip[2] = clip[0]
    clip[[0, 2], 2:4, 5] = 0  # a joint that is not seen for two frames
    before = clip.copy()
    np.random.seed(0)
    results = run(transform, clip)
    np.testing.assert_array_equal(clip, before)  # the input is not touched
    out = results['keypoint']
    assert out.shape[1] == results.get('total_frames', 6)
    assert not out[1].any()
    np.testing.assert_array_equal(out[2], out[0])
    assert out.shape != before.shape or not np.array_equal(out, before)
    if not isinstance(transform, PoseTemporalCropResize):
        place = 9 if isinstance(transform, PoseRandomFlip) else 5
        assert not out[0, 2:4, place].any()


@pytest.mark.parametrize('transform', AUGMENTATIONS, ids=name_of)
@pytest.mark.parametrize('dtype, expected', [(np.float16, np.float32),
                                             (np.float32, np.float32),
                                             (np.float64, np.float64)])
def test_dtype(transform, dtype, expected):
    assert run(transform, make_clip(dtype=dtype))['keypoint'].dtype == expected


@pytest.mark.parametrize('transform', AUGMENTATIONS, ids=name_of)
def test_a_clip_of_nobody_stays_so(transform):
    assert not run(transform, np.zeros((2, 6, 25, 3)))['keypoint'].any()


@pytest.mark.parametrize('transform', AUGMENTATIONS, ids=name_of)
def test_same_generator_state_same_result(transform):
    outputs = []
    for _ in range(2):
        np.random.seed(7)
        outputs.append(run(transform, make_clip())['keypoint'])
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize('transform', AUGMENTATIONS + [PosePreNormalize3D()],
                         ids=name_of)
@pytest.mark.parametrize('results, said', [
    (dict(keypoint=np.ones((1, 0, 25, 3))), r'\(1, 0, 25, 3\)'),
    (dict(keypoint=np.ones((6, 25, 3))), r'\(6, 25, 3\)'),
    (dict(), "no 'keypoint'"),
    (dict(keypoint=np.ones((1, 6, 25, 3)), keypoint_score=np.ones(
        (1, 6, 24))), 'keypoint_score'),
])
def test_bad_clips_are_named(transform, results, said):
    with pytest.raises(ValueError, match=said) as error:
        transform(dict(results, frame_dir='S001'))
    assert f"{name_of(transform)}, clip 'S001'" in str(error.value)


@pytest.mark.parametrize(
    'transform', [x for x in AUGMENTATIONS if x.num_coordinates == 3] +
    [PosePreNormalize3D()],
    ids=name_of)
def test_flat_poses_are_refused(transform):
    with pytest.raises(ValueError, match=r'joints, 3\)'):
        run(transform, np.ones((1, 6, 25, 2)))


@pytest.mark.parametrize('transform', AUGMENTATIONS + [PosePreNormalize3D()],
                         ids=name_of)
def test_registered_and_shown(transform):
    assert TRANSFORMS.get(name_of(transform)) is type(transform)
    shown = repr(transform)
    again = eval(shown, {type(transform).__name__: type(transform)})
    assert repr(again) == shown


@pytest.mark.parametrize('build, said', [
    (lambda: PoseRandomRotate(-1), 'theta=-1'),
    (lambda: PoseRandomRotate((1, 2)), 'theta='),
    (lambda: PoseRandomScale(1), 'scale=1'),
    (lambda: PoseRandomShear(-.1), 'shear=-0.1'),
    (lambda: PoseJitter(-.1), 'sigma=-0.1'),
    (lambda: PoseRandomFlip(1.5), 'prob=1.5'),
    (lambda: PoseRandomFlip(layout='nobody'), "no layout 'nobody'"),
    (lambda: PoseTemporalCropResize(0), 'clip_len=0'),
    (lambda: PoseTemporalCropResize(8, (1., .5)), 'p_interval'),
    (lambda: PoseTemporalCropResize(8, (0., .5)), 'p_interval'),
    (lambda: PoseTemporalCropResize(8, ()), 'p_interval'),
    (lambda: PosePreNormalize3D(layout='coco17'), 'align_spine=False'),
    (lambda: PosePreNormalize3D(centre=25), 'centre=25'),
])
def test_bad_arguments_are_named(build, said):
    with pytest.raises(ValueError, match=said):
        build()


# ------------------------------------------------------------------ one by one


def test_rotation_limits_per_axis():
    clip = make_clip()
    np.random.seed(3)
    angle = np.random.uniform([0, 0, -1.5], [0, 0, 1.5])[2]
    np.random.seed(3)
    out = run(PoseRandomRotate((0, 0, 1.5)), clip)['keypoint']
    np.testing.assert_array_equal(out[..., 2], clip[..., 2])
    c, s = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(
        out[..., 0], c * clip[..., 0] + s * clip[..., 1], atol=1e-6)


def test_scale_is_one_factor_an_axis_within_its_limit():
    factors = []
    for seed in range(50):
        np.random.seed(seed)
        clip = make_clip(seed=seed, dtype=np.float64)
        ratio = run(PoseRandomScale((.1, .2, 0)), clip)['keypoint'] / clip
        np.testing.assert_allclose(np.ptp(ratio, (0, 1, 2)), 0, atol=1e-12)
        factors.append(ratio[0, 0, 0])
    spread = np.abs(np.array(factors) - 1).max(0)
    assert .08 < spread[0] <= .1 + 1e-9 and .16 < spread[1] <= .2 + 1e-9
    assert spread[2] < 1e-12


def test_shear_moves_an_axis_along_the_others():
    clip = make_clip(dtype=np.float64)
    np.random.seed(1)
    factors = np.random.uniform(-.5, .5, 6)
    np.random.seed(1)
    out = run(PoseRandomShear(), clip)['keypoint']
    x, y, z = np.moveaxis(clip, -1, 0)
    np.testing.assert_allclose(out[..., 0],
                               x + factors[0] * y + factors[1] * z)
    np.testing.assert_allclose(out[..., 2],
                               z + factors[4] * x + factors[5] * y)


def test_flip_swaps_sides_and_is_its_own_inverse():
    clip = make_clip()
    flip = PoseRandomFlip(prob=1)
    once = run(flip, clip)['keypoint']
    np.testing.assert_array_equal(once[:, :, 4], clip[:, :, 8] * (-1, 1, 1))
    np.testing.assert_array_equal(once[:, :, 3], clip[:, :, 3] * (-1, 1, 1))
    np.testing.assert_array_equal(run(flip, once)['keypoint'], clip)


def test_flip_keeps_bone_lengths_of_its_layout():
    layout = get_layout('kinect20')
    clip = make_clip(joints=20)
    child, parent = np.array(layout.bones).T
    sides = dict(layout.flip_pairs)
    sides.update({right: left for left, right in layout.flip_pairs})
    other = [sides.get(j, j) for j in range(20)]
    flipped = run(PoseRandomFlip(1, 'kinect20'), clip)['keypoint']
    before = np.linalg.norm(clip[:, :, child] - clip[:, :, parent], axis=-1)
    there = [other[j] for j in child], [other[j] for j in parent]
    after = np.linalg.norm(
        flipped[:, :, there[0]] - flipped[:, :, there[1]], axis=-1)
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_flip_happens_as_often_as_said():
    np.random.seed(0)
    flip, clip = PoseRandomFlip(prob=.25), make_clip(1, 1)
    count = sum(
        run(flip, clip)['keypoint'] is not clip for _ in range(400))
    assert 70 < count < 130


def test_flip_refuses_another_body_and_a_body_without_sides():
    with pytest.raises(ValueError, match='20 joints.*ntu25'):
        run(PoseRandomFlip(), make_clip(joints=20))
    one_sided = dict(
        name='stick', joints=('a', 'b'), bones=(), parts=dict(all=(0, 1)),
        centre=0)
    with pytest.raises(ValueError, match="'stick' has no flip_pairs"):
        PoseRandomFlip(layout=one_sided)


def test_jitter_has_its_sigma_and_fresh_noise_for_every_value():
    clip = make_clip(2, 200, dtype=np.float64)
    noise = run(PoseJitter(.05), clip)['keypoint'] - clip
    assert noise.std() == pytest.approx(.05, rel=.05)
    assert len(np.unique(noise)) > .99 * noise.size


def test_random_crop_takes_frames_from_inside_the_clip():
    clip = np.arange(100, dtype=np.float64).reshape(1, 100, 1, 1)
    seen = []
    for seed in range(200):
        np.random.seed(seed)
        out = run(PoseTemporalCropResize(64), clip + 1)['keypoint'].ravel() - 1
        seen += [out[0], out[-1]]
        assert np.all(np.diff(out) > 0)
    assert min(seen) < 2 and max(seen) > 97
    assert min(seen) >= 0 and max(seen) <= 99


def test_short_clip_is_used_whole_and_stretched():
    clip = make_clip(frames=57)
    out = run(PoseTemporalCropResize(120), clip)
    np.testing.assert_array_equal(out['keypoint'],
                                  geometry.resize_frames(clip, 120))
    assert out['total_frames'] == 120


def test_empty_frames_at_the_end_do_not_count_those_inside_do():
    clip = make_clip(frames=20)
    clip[:, 5:8] = 0
    padded = np.pad(clip, [(0, 0), (0, 30), (0, 0), (0, 0)])
    centre = PoseTemporalCropResize(20, (1., ))
    np.testing.assert_array_equal(run(centre, padded)['keypoint'], clip)
