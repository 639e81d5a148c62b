# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The data transforms against recorded numbers and MMAction2's own."""
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.datasets.transforms import (
    FormatGCNInput,
    PoseDecode,
    PreNormalize3D,
    UniformSampleFrames,
)
from mmengine.dataset import Compose

from skel_ssl.datasets import (
    PosePreNormalize3D,
    PoseRandomRotate,
    PoseTemporalCropResize,
    load_annotations,
)
from skel_ssl.datasets.transforms import geometry

SHARED = Path(__file__).resolve().parents[2] / '..' / 'shared'
GOLDEN = SHARED / 'golden' / 'pipeline_golden.npz'
DATA = SHARED / 'data'

needs_golden = pytest.mark.skipif(
    not GOLDEN.exists(), reason='the golden numbers are not at ../shared')
needs_data = pytest.mark.skipif(
    not DATA.exists(), reason='the skeleton data are not at ../shared')

S2V_CLIPS = ('one_short', 'one_mid', 'two_long', 'two_swapped')
S2V_CROPS = dict(
    one_short=(40, 0), one_mid=(96, 0), two_long=(205, 0), two_swapped=(60, 0))
MAMP_CROPS = dict(a=(57, 0), b=(74, 21), c=(217, 21))

# a body like SBU's: MMAction2 centres it on its last joint
BODY15 = dict(
    name='body15',
    joints=tuple(map(str, range(15))),
    bones=(),
    parts=dict(all=tuple(range(15))),
    centre=14)


def golden(group: str) -> Dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {
            key[len(group) + 1:]: arrays[key]
            for key in arrays.files if key.startswith(f'{group}/')
        }


def run(transform, keypoint: np.ndarray) -> np.ndarray:
    """One transform on one clip; the clip must come through unharmed."""
    before = keypoint.copy()
    results = transform(
        dict(keypoint=keypoint, total_frames=keypoint.shape[1]))
    np.testing.assert_array_equal(keypoint, before)
    assert results['total_frames'] == results['keypoint'].shape[1]
    return results['keypoint']


# ---------------------------------------------------------------- Skeleton2vec


@needs_golden
@pytest.mark.parametrize('clip', S2V_CLIPS)
def test_s2v_normalisation(clip):
    z = golden(f's2v/{clip}')
    plain = PosePreNormalize3D(align_spine=False, align_shoulder=False)
    np.testing.assert_array_equal(run(plain, z['in']), z['prenorm_spine0'])
    np.testing.assert_allclose(
        run(PosePreNormalize3D(), z['in']),
        z['prenorm_spine1'],
        rtol=0,
        atol=1e-6)


@needs_golden
@pytest.mark.parametrize('clip', S2V_CLIPS)
def test_s2v_rotation(clip):
    z = golden(f's2v/{clip}')
    np.random.seed(100)
    rotated = run(PoseRandomRotate(0.3), z['prenorm_spine0'])
    assert rotated.dtype == np.float32
    np.testing.assert_allclose(
        rotated, z['randomrot_seed100'], rtol=0, atol=1e-5)


@needs_golden
@pytest.mark.parametrize('clip', S2V_CLIPS)
def test_s2v_crop_and_resize(clip):
    z = golden(f's2v/{clip}')
    frames = z['randomrot_seed100'].shape[1]
    np.random.seed(200)
    length, starts = geometry.crop_bounds(frames, np.random.uniform(.5, 1), 64)
    assert (length, np.random.randint(starts)) == S2V_CROPS[clip]

    np.random.seed(200)
    resized = run(PoseTemporalCropResize(120), z['randomrot_seed100'])
    np.testing.assert_allclose(
        resized[:, ::5], z['randomresizedcrop120_seed200'], rtol=0, atol=2e-5)


@needs_golden
@pytest.mark.parametrize('clip', S2V_CLIPS)
def test_s2v_whole_pipeline(clip):
    """From raw keypoints to the model's input, with MMAction2's sampling."""
    z = golden(f's2v/{clip}')
    results = Compose([
        PosePreNormalize3D(align_spine=False, align_shoulder=False),
        lambda results: np.random.seed(100) or results,
        PoseRandomRotate(0.3)
    ])(dict(keypoint=z['in'], total_frames=z['in'].shape[1]))
    np.random.seed(200)
    np.random.random_sample()  # the reference draws a crop ratio first
    results = Compose(
        [UniformSampleFrames(90),
         PoseDecode(), FormatGCNInput(2)])(results)

    np.testing.assert_array_equal(results['frame_inds'],
                                  z['uniform_inds_seed200'])
    final = results['keypoint']
    assert final.dtype == np.float32
    np.testing.assert_allclose(final, z['final_keypoint'], rtol=0, atol=1e-5)
    motion = np.diff(final.astype(np.float64), axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(motion), z['final_motion_l2'][0], rtol=1e-6)


# ------------------------------------------------------------------------ MAMP


def mamp_clip(z: Dict[str, np.ndarray], frames: int) -> np.ndarray:
    """The clip as (M, T, V, C) float32, padded with empty frames."""
    keypoint = z['in'].astype(np.float32).transpose(3, 1, 2, 0)
    padding = frames - keypoint.shape[1]
    return np.pad(keypoint, [(0, 0), (0, padding), (0, 0), (0, 0)])


def as_recorded(keypoint: np.ndarray) -> np.ndarray:
    return keypoint[:, ::4].transpose(3, 1, 2, 0)


@needs_golden
@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('clip', MAMP_CROPS)
def test_mamp_crop_and_resize(clip, padded):
    z = golden(f'mamp/{clip}')
    valid = int(z['valid'])
    keypoint = mamp_clip(z, 300 if padded else valid)

    centre = run(PoseTemporalCropResize(120, (0.95, )), keypoint)
    np.testing.assert_allclose(
        as_recorded(centre), z['centre95'], rtol=0, atol=2e-5)

    np.random.seed(300)
    ratio = np.random.uniform(.5, 1)
    assert ratio == pytest.approx(0.72556128, abs=1e-8)
    length, starts = geometry.crop_bounds(valid, ratio, 64)
    assert (length, np.random.randint(starts)) == MAMP_CROPS[clip]

    np.random.seed(300)
    crop = run(PoseTemporalCropResize(120), keypoint)
    np.testing.assert_allclose(
        as_recorded(crop), z['random_seed300'], rtol=0, atol=2e-5)


@needs_golden
@pytest.mark.parametrize('clip', MAMP_CROPS)
def test_mamp_rotation(clip):
    z = golden(f'mamp/{clip}')
    angles = (-0.18323952, 0.09622017, 0.21336587)
    crop = z['random_seed300'].transpose(3, 1, 2, 0)
    rotated = geometry.apply_matrix(crop, geometry.rotation_matrix(angles))
    np.testing.assert_allclose(
        rotated.transpose(3, 1, 2, 0),
        z['random_rot_torchseed400'],
        rtol=0,
        atol=1e-5)


# ------------------------------------------------- MMAction2's PreNormalize3D


def assert_like_mmaction2(keypoint: np.ndarray, align_spine: bool,
                          align_shoulder: bool, layout) -> None:
    options = dict(align_spine=align_spine, align_shoulder=align_shoulder)
    frames = keypoint.shape[1]
    theirs = PreNormalize3D(**options)(
        dict(keypoint=keypoint.copy(), total_frames=frames))
    ours = PosePreNormalize3D(
        **options, layout=layout)(
            dict(keypoint=keypoint.copy(), total_frames=frames))
    assert ours.keys() == theirs.keys()
    assert ours['total_frames'] == theirs['total_frames']
    np.testing.assert_array_equal(ours['body_center'], theirs['body_center'])
    assert ours['keypoint'].dtype == theirs['keypoint'].dtype
    atol = 1e-6 if align_spine or align_shoulder else 0
    np.testing.assert_allclose(
        ours['keypoint'], theirs['keypoint'], rtol=0, atol=atol)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    persons=st.integers(1, 2),
    frames=st.integers(1, 12),
    layout=st.sampled_from(['ntu25', 'kinect20']),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    align_spine=st.booleans(),
    align_shoulder=st.booleans(),
    missing=st.sampled_from([0, .3, .8]))
def test_like_mmaction2_on_random_clips(seed, persons, frames, layout, dtype,
                                        align_spine, align_shoulder, missing):
    rng = np.random.default_rng(seed)
    joints = dict(ntu25=25, kinect20=20)[layout]
    keypoint = rng.normal(size=(persons, frames, joints, 3)) + (0.2, 0.1, 3)
    keypoint[rng.random((persons, frames, joints)) < missing / 4] = 0
    keypoint[rng.random((persons, frames)) < missing] = 0
    keypoint[rng.integers(persons), 0, 2] = 1  # somebody is there
    assert_like_mmaction2(
        keypoint.astype(dtype), align_spine, align_shoulder, layout)


@pytest.mark.parametrize('turn', [0, 1e-7, 1e-4, 1e-3, 1e-2, np.pi])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_like_mmaction2_where_the_arc_cosine_is_ill_conditioned(turn, dtype):
    """A spine that is upright already, or nearly, or upside down."""
    keypoint = np.random.default_rng(0).normal(size=(1, 4, 25, 3))
    keypoint[0, 0, 0] = 0
    keypoint[0, 0, 1] = 0, np.sin(turn), np.cos(turn)
    assert_like_mmaction2(keypoint.astype(dtype), True, True, 'ntu25')


@needs_data
@pytest.mark.parametrize('align', [False, True])
@pytest.mark.parametrize('name, layout', [
    ('ntu_sample5_mmaction2_3d', 'ntu25'),
    ('ntu_sample5_denoise_3d', 'ntu25'),
    ('nwucla_3d', 'kinect20'),
    ('utdmhad_3d', 'kinect20'),
    ('sbu_3d', BODY15),
])
def test_like_mmaction2_on_recorded_clips(name, layout, align):
    if layout is BODY15 and align:
        layout = dict(BODY15, spine=(0, 1), shoulders=(8, 4))
    clips = load_annotations(DATA / f'{name}.pkl')['annotations']
    for clip in clips[::max(1, len(clips) // 40)]:
        assert_like_mmaction2(clip['keypoint'], align, align, layout)
