# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Several clips of a sample."""
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.datasets import PoseTemporalCropResize
from skel_ssl.datasets.transforms import geometry
from skel_ssl.registry import TRANSFORMS
from tests.datasets.pose_clips import make_clip, run

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


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
