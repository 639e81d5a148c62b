# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From pickles of 2D poses, through the configs, to what a model gets."""
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.datasets import SeededIndex
from skel_ssl.datasets.transforms.jitter import box_diagonal
from skel_ssl.registry import DATASETS
from tests.conftest import shared_file
from tests.datasets.coco_clips import (
    ABSENT,
    HIDDEN,
    VARIANTS,
    coco_clip,
    write_coco_clips,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
HALF_IMAGE = np.array([960, 540], np.float32)

# config: file, classes, persons, splits to train and to test on
CASES = {
    'ntu60_2d_xsub': ('ntu60_2d', 60, 2, 'xsub_train', 'xsub_val'),
    'ntu60_2d_xview': ('ntu60_2d', 60, 2, 'xview_train', 'xview_val'),
    'ntu120_2d_xsub': ('ntu120_2d', 120, 2, 'xsub_train', 'xsub_val'),
    'ntu120_2d_xset': ('ntu120_2d', 120, 2, 'xset_train', 'xset_val'),
    'gym_2d': ('gym_2d', 99, 1, 'train', 'val'),
    'diving48_2d': ('diving48_2d', 48, 1, 'train', 'test'),
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads a config, with the data in the temporary folder."""
    monkeypatch.setenv('SKEL_DATA', str(tmp_path))
    init_default_scope('mmaction')
    return lambda name: Config.fromfile(CONFIGS / f'{name}.py')


@pytest.fixture
def build(load, tmp_path):
    """The datasets of ntu60_2d_xsub, one clip of each variant in each."""

    def build(part, **kwargs):
        write_coco_clips(tmp_path / 'ntu60_2d.pkl', frames=100, **kwargs)
        loader = load('ntu60_2d_xsub')[f'{part}_dataloader']
        return DATASETS.build(loader.dataset)

    return build


def sampled_frames(values, original):
    """Which frame of the clip each sampled one is; no two are alike."""
    same = (values[:, None] == original[None]).reshape(
        len(values), len(original), -1).all(-1)
    assert (same.sum(1) == 1).all()
    return same.argmax(1)


# -------------------------------------------------------------------- configs


@pytest.mark.parametrize('name', CASES)
def test_each_config_reads_its_file(name, load, tmp_path):
    file, classes, persons, train, test = CASES[name]
    write_coco_clips(
        tmp_path / f'{file}.pkl', {train, test}, persons=3, frames=70)
    cfg = load(name)
    assert cfg.classes == classes
    for part, split, clips in (('train', train, 1), ('val', test, 1),
                               ('test', test, 10)):
        loader = cfg[f'{part}_dataloader']
        assert loader.batch_size == (16 if part == 'test' else 128)
        assert loader.sampler == dict(
            type='SeededSampler', shuffle=part == 'train')
        dataset = DATASETS.build(loader.dataset)
        assert dataset.test_mode == (part != 'train')
        assert len(dataset) == len(VARIANTS)
        packed = dataset[0]
        assert packed['inputs'].shape == (clips, persons, 64, 17, 3)
        sample = packed['data_samples']
        assert sample.split == split
        assert sample.frame_dir == f'{split}_normal_0'
    assert cfg.val_evaluator == cfg.test_evaluator == dict(type='AccMetric')


@pytest.mark.parametrize('name', CASES)
def test_the_pipelines_by_name_are_those_of_the_loaders(name, load):
    cfg = load(name)
    for part, pipeline in (('train', cfg.train_pipeline),
                           ('val', cfg.val_pipeline),
                           ('test', cfg.multi_clip_pipeline)):
        assert cfg[f'{part}_dataloader'].dataset.pipeline == pipeline
        types = [t.type for t in pipeline]
        assert ('PoseJitter' in types) == (part == 'train')
        assert [t for t in types if t != 'PoseJitter'] == [
            'PoseUniformSampleFrames', 'PoseDecode', 'PosePreNormalize2D',
            'FormatGCNInput', 'PackActionInputs'
        ]


def test_utdmhad(load, monkeypatch):
    path = shared_file('data/utdmhad_3d.pkl')
    monkeypatch.setenv('SKEL_DATA', str(path.parent))
    cfg, base = load('utdmhad'), load('nwucla')
    assert cfg.classes == 27
    assert 'PoseRandomFlip' in [t.type for t in base.train_pipeline]
    assert 'PoseRandomFlip' not in [t.type for t in cfg.train_pipeline]
    for part, count in (('train', 431), ('val', 430), ('test', 430)):
        settings = cfg[f'{part}_dataloader'].dataset
        # Classes have sides and directions, so that nothing is flipped.
        assert settings.pipeline == [
            t for t in base[f'{part}_dataloader'].dataset.pipeline
            if t.type != 'PoseRandomFlip'
        ]
        dataset = DATASETS.build(settings)
        assert len(dataset) == count
        labels = {dataset.get_data_info(i)['label'] for i in range(count)}
        assert labels == set(range(27))
        inputs = dataset[0]['inputs']
        assert inputs.shape == (1, 1, 32, 20, 3) and inputs.any()


# --------------------------------------------------------------------- values


@pytest.mark.parametrize('dtype', [np.float16, np.float64])
@pytest.mark.parametrize('variant', ['normal', 'absent'])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_values_with_scores(build, part, variant, dtype):
    """The scores are the third channel, and say who has noise."""
    dataset = build(part, dtype=dtype)
    index = VARIANTS.index(variant)
    inputs = dataset[SeededIndex(index, 3)]['inputs']
    assert inputs.dtype == torch.float32 and inputs.isfinite().all()
    raw = dataset.get_data_info(index)
    pixels = raw['keypoint'].astype(np.float32)
    scores = raw['keypoint_score'].astype(np.float32)
    valid = scores > 0
    if variant == 'absent':
        assert not valid[1, ABSENT].any()
        assert not valid[0, ABSENT, HIDDEN].any()
        assert valid.sum() == (200 - 7) * 17 - 7
    expected = (pixels - HALF_IMAGE) / HALF_IMAGE
    expected[~valid.any(-1)] = 0
    for clip in inputs.numpy():
        frames = sampled_frames(clip[0, :, :, 2], scores[0])
        np.testing.assert_array_equal(clip[..., 2], scores[:, frames])
        seen = valid[:, frames]
        noise = (clip[..., :2] - expected[:, frames]) * HALF_IMAGE
        assert not noise[~seen].any()
        if part != 'train':
            assert not noise.any()
            continue
        assert (noise[seen] != 0).mean() > .99
        diagonal = box_diagonal(pixels, valid)[:, frames, None, None]
        share = (noise[seen] / np.broadcast_to(diagonal, noise.shape)[seen])
        assert share.std() == pytest.approx(.01, rel=.05)


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_values_without_scores(build, part):
    dataset = build(part)
    index = VARIANTS.index('scoreless')
    inputs = dataset[SeededIndex(index, 3)]['inputs']
    assert inputs.shape[-1] == 2 and inputs.isfinite().all()
    pixels = dataset.get_data_info(index)['keypoint'].astype(np.float32)
    expected = (pixels - HALF_IMAGE) / HALF_IMAGE
    corner = pixels[0, 5, HIDDEN]
    assert not corner.any()
    for clip in inputs.numpy():
        # Person 1 is absent in seven of a hundred frames: in a tenth or so.
        absent = ~clip[1].any((1, 2))
        assert 2 <= absent.sum() <= 7
        hidden = (clip[0, :, HIDDEN] == -1).all(-1)
        np.testing.assert_array_equal(hidden, absent)
        if part == 'train':
            assert (clip[:, ~absent] != -1).all()
            continue
        frames = sampled_frames(clip[0], expected[0])
        np.testing.assert_array_equal(absent, np.isin(frames, np.r_[ABSENT]))
        np.testing.assert_array_equal(clip[0], expected[0, frames])
        np.testing.assert_array_equal(clip[1][~absent],
                                      expected[1, frames][~absent])


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_a_clip_without_a_single_score_is_empty(build, part):
    dataset = build(part)
    packed = dataset[SeededIndex(VARIANTS.index('unseen'), 3)]
    assert packed['inputs'].shape[-1] == 3 and not packed['inputs'].any()


def test_one_seed_one_sample(build):
    dataset = build('train')
    first, again, other = (
        dataset[SeededIndex(1, seed)]['inputs'] for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_ten_clips_are_the_same_each_time(build):
    dataset = build('test')
    first, again = dataset[1]['inputs'], dataset[1]['inputs']
    assert torch.equal(first, again)
    assert len(torch.unique(first.flatten(1), dim=0)) == 10


def test_the_mask_of_parts_fits_into_the_pipeline(load, tmp_path):
    write_coco_clips(tmp_path / 'ntu60_2d.pkl')
    settings = load('ntu60_2d_xsub').train_dataloader.dataset
    settings.pipeline.insert(-1, dict(type='BodyPartMask'))
    dataset = DATASETS.build(settings)
    for index in range(len(VARIANTS)):
        mask = dataset[index]['data_samples'].mask
        assert mask.shape == (1, 2, 64, 17)
        assert mask[..., [8, 10, 14, 16]].all() and mask.sum() == 2 * 64 * 4


# ----------------------------------------------------- clips without a score


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr('skel_ssl.datasets.skeleton_dataset.print_log',
                        lambda text, level, **_: lines.append((level, text)))
    return lines


def test_clips_without_a_single_score_are_named_once(build, logged):
    dataset = build('val', variants=('unseen', ) * 7 + ('normal', ))
    assert len(dataset) == 8
    (level, text), = logged
    assert level == logging.WARNING
    assert 'in 7 of 8 clips of ' in text and "split='xsub_val'" in text
    assert text.endswith(': ' + ', '.join(
        f'xsub_val_unseen_{i}' for i in range(5)) + ', ...')


def test_a_few_clips_are_named_in_full(build, logged):
    build('val')
    (_, text), = logged
    assert text.endswith('nobody is seen in them: xsub_val_unseen_2')


@pytest.mark.parametrize('variants', [('normal', 'scoreless'), ('absent', )])
def test_no_word_where_there_are_scores(build, logged, variants):
    build('val', variants=variants)
    assert not logged


def test_a_split_without_a_single_score_is_an_error(build):
    with pytest.raises(
            ValueError,
            match="in 2 of 2 clips .*delete 'keypoint_score' from the annot"):
        build('val', variants=('unseen', 'unseen'))


# ------------------------------------------------------------ the clips' form


@pytest.mark.parametrize('variant', VARIANTS)
def test_made_up_clips_are_as_mmaction2_has_them(variant):
    clip = coco_clip('a', variant, label=3)
    scored = ['keypoint_score'] if variant != 'scoreless' else []
    assert sorted(clip) == sorted([
        'frame_dir', 'label', 'img_shape', 'original_shape', 'total_frames',
        'keypoint', *scored
    ])
    assert clip['keypoint'].shape == (2, 20, 17, 2)
    assert clip['keypoint'].dtype == np.float16
    again = coco_clip('a', variant, label=3)
    np.testing.assert_equal(clip, again)
