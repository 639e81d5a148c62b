# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import init_default_scope

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

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
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


def make_clip(persons=2, frames=6, joints=25, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(persons, frames, joints, 3)).astype(dtype)


def run(transform, keypoint, **results):
    return transform(dict(keypoint=keypoint, frame_dir='S001', **results))


def name_of(transform):
    return type(transform).__name__


# ------------------------------------------------------------------- geometry


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.floats(-4, 4)] * 3), st.integers(0, 99))
def test_rotation_preserves_lengths_and_handedness(angles, seed):
    matrix = geometry.rotation_matrix(angles)
    clip = make_clip(seed=seed, dtype=np.float64)
    rotated = geometry.apply_matrix(clip, matrix)
    np.testing.assert_allclose(
        np.linalg.norm(rotated, axis=-1), np.linalg.norm(clip, axis=-1))
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize('angles, source, image', [
    ((np.pi / 2, 0, 0), (0, 1, 0), (0, 0, -1)),
    ((0, np.pi / 2, 0), (1, 0, 0), (0, 0, 1)),
    ((0, 0, np.pi / 2), (1, 0, 0), (0, -1, 0)),
    ((np.pi / 2, np.pi / 2, 0), (0, 1, 0), (1, 0, 0)),
])
def test_rotation_signs_and_order(angles, source, image):
    """x is turned first: y -> -z -> x."""
    turned = geometry.rotation_matrix(angles) @ source
    np.testing.assert_allclose(turned, image, atol=1e-12)


def test_axis_angle_is_counter_clockwise():
    matrix = geometry.axis_angle_matrix(np.array([0, 0, 2.]), np.pi / 2)
    np.testing.assert_allclose(matrix @ (1, 0, 0), (0, 1, 0), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 0, 0), (0, 0, 1)]))
def test_rotation_between_turns_the_vector_there(seed, target):
    vector = np.random.default_rng(seed).normal(size=3)
    turned = geometry.rotation_between(vector, target) @ vector
    np.testing.assert_allclose(
        turned, np.linalg.norm(vector) * np.array(target), atol=1e-7)


def test_rotation_between_leaves_what_has_no_direction():
    identity = np.eye(3)
    for vector in ([0, 0, 0], [0, 0, 2], [0, 0, -2]):
        matrix = geometry.rotation_between(np.array(vector, float), (0, 0, 1))
        np.testing.assert_array_equal(matrix, identity)


def test_shear_matrix_entries():
    np.testing.assert_array_equal(
        geometry.shear_matrix([.1, .2, .3, .4, .5, .6]),
        [[1, .1, .2], [.3, 1, .4], [.5, .6, 1]])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 99))
def test_resize_to_the_same_length_changes_nothing(frames, seed):
    clip = make_clip(frames=frames, joints=2, seed=seed)
    np.testing.assert_array_equal(geometry.resize_frames(clip, frames), clip)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30))
def test_resize_is_torch_bilinear(frames, num_frames):
    clip = make_clip(1, frames, 3)
    ours = geometry.resize_frames(clip, num_frames)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(clip[0]).permute(2, 0, 1)[None],
        size=(num_frames, 3),
        mode='bilinear')
    np.testing.assert_allclose(
        ours[0].transpose(2, 0, 1), theirs[0].numpy(), atol=2e-5)


@pytest.mark.parametrize('frames, ratio, expected', [
    (57, .5, (57, 1)),
    (103, .72556128, (74, 30)),
    (300, .5, (150, 151)),
    (100, .5, (64, 37)),
    (80, 1., (80, 1)),
])
def test_crop_bounds(frames, ratio, expected):
    assert geometry.crop_bounds(frames, ratio, 64) == expected


@pytest.mark.parametrize('frames, ratio, expected', [
    (40, .95, (1, 39)),
    (39, .95, (0, 39)),
    (300, .95, (7, 293)),
    (10, .5, (2, 8)),
])
def test_centre_crop(frames, ratio, expected):
    assert geometry.centre_crop(frames, ratio) == expected


# -------------------------------------------------------- all augmentations


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


# ------------------------------------------------------------ one by one


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


# -------------------------------------------------------------- normalisation


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


# -------------------------------------------------------------- several clips


def test_clips_are_drawn_one_after_the_other():
    clip = make_clip(frames=100)
    several = PoseTemporalCropResize(8, min_frames=4, num_clips=3)
    single = PoseTemporalCropResize(8, min_frames=4)
    np.random.seed(5)
    results = run(several, clip)
    np.random.seed(5)
    expected = [run(single, clip)['keypoint'] for _ in range(3)]
    np.testing.assert_array_equal(results['keypoint'],
                                  np.concatenate(expected, 1))
    assert not np.array_equal(*expected[:2])
    assert (results['num_clips'], results['total_frames']) == (3, 24)


def test_one_clip_is_drawn_as_documented():
    clip = make_clip(frames=100)
    np.random.seed(5)
    results = run(PoseTemporalCropResize(8, (.5, .9), min_frames=4), clip)
    after = np.random.random_sample()
    np.random.seed(5)
    length = int(100 * np.random.uniform(.5, .9))
    start = np.random.randint(100 - length + 1)
    np.testing.assert_array_equal(
        results['keypoint'],
        geometry.resize_frames(clip[:, start:start + length], 8))
    assert after == np.random.random_sample()  # and nothing else is
    assert (results['num_clips'], results['total_frames']) == (1, 8)


def test_format_gcn_input_takes_the_clips_apart():
    clip = make_clip(1, 100)
    several = PoseTemporalCropResize(8, min_frames=4, num_clips=3)
    results = run(several, clip)
    crops = results['keypoint'].copy()
    out = TRANSFORMS.build(dict(type='FormatGCNInput'))(results)['keypoint']
    assert out.shape == (3, 2, 8, 25, 3)
    for i in range(3):
        np.testing.assert_array_equal(out[i, 0], crops[0, 8 * i:8 * i + 8])
        assert not out[i, 1].any()


@pytest.mark.parametrize('kwargs, said', [
    (dict(num_clips=0), 'num_clips=0'),
    (dict(num_clips=2, p_interval=(.5, )), 'num_clips=2 centre crops.*random'),
])
def test_numbers_of_clips_that_make_no_sense(kwargs, said):
    with pytest.raises(ValueError, match=said):
        PoseTemporalCropResize(8, **kwargs)


@pytest.mark.parametrize('name, joints', [('demo', 25), ('nwucla', 20)])
def test_multi_clip_pipelines_of_the_configs(name, joints):
    """Ten different crops, of which validation's is the middle one."""
    init_default_scope('mmaction')
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
    inputs = []
    for pipeline in (cfg.multi_clip_pipeline, cfg.val_pipeline):
        results = dict(
            keypoint=make_clip(1, 90, joints),
            frame_dir='S001',
            label=0,
            total_frames=90)
        for transform in pipeline:
            results = TRANSFORMS.build(transform)(results)
        inputs.append(results['inputs'])
    crops, middle = inputs
    assert crops.shape == (10, *middle.shape[1:]) and middle.shape[0] == 1
    assert len({tuple(crop.flatten().tolist()) for crop in crops}) == 10
    types = [[t['type'] for t in p] for p in (cfg.multi_clip_pipeline,
                                              cfg.val_pipeline)]
    assert types[0] == types[1]


def test_the_ten_clip_probe_differs_in_its_test_alone():
    folder = CONFIGS / 'benchmarks/linear'
    cfg = Config.fromfile(folder / 'skel2vec_nwucla_10clip.py')
    base = Config.fromfile(folder / 'skel2vec_nwucla.py')
    assert cfg.model == base.model
    assert cfg.model.cls_head.average_clips == 'score'  # logits
    assert cfg.val_dataloader == base.val_dataloader
    dataset = cfg.test_dataloader.dataset
    assert dataset.pipeline == cfg.multi_clip_pipeline
    assert dataset == dict(base.test_dataloader.dataset,
                           pipeline=dataset.pipeline)
