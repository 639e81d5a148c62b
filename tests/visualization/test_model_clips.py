# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Clips of a config, as they are and the same each time."""
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config

from skel_ssl.visualization.model_clips import (
    body_view,
    build_dataset,
    class_names,
    read_clips,
)
from skel_ssl.visualization.samples import BodyView

JOINTS = 25
FEET, HEAD = [14, 15, 18, 19], [3]


@pytest.fixture
def cfg(tmp_path):
    """Two clips of bodies that stand along x."""
    rng = np.random.default_rng(0)
    keypoint = 0.1 * rng.normal(size=(2, 1, 20, JOINTS, 3))
    keypoint[..., HEAD, 0] += 1
    keypoint[..., FEET, 0] -= 1
    clips = [dict(frame_dir=f'c{i}', label=i, total_frames=20, keypoint=k)
             for i, k in enumerate(keypoint)]
    path = tmp_path / 'clips.pkl'
    path.write_bytes(pickle.dumps(dict(
        split={}, annotations=clips, classes=['walk', 'sit'])))
    pipeline = [
        dict(type='PoseRandomScale', scale=0.5),
        dict(type='FormatGCNInput', num_person=1),
        dict(type='RandomMask', patch_len=4, mask_ratio=0.5),
        dict(type='PackActionInputs', algorithm_keys=('mask', ))
    ]
    dataset = dict(type='SkeletonDataset', ann_file=str(path), layout='ntu25',
                   pipeline=pipeline)
    return Config(dict(
        default_scope='mmaction', augmentations=('PoseRandomScale', ),
        train_dataloader=dict(dataset=dict(
            type='RepeatDataset', dataset=dataset, times=1))))


def test_bodies_as_they_are(cfg):
    plain, augmented = build_dataset(cfg), build_dataset(cfg, augment=True)
    truth = plain.dataset.get_data_info(1)['keypoint']
    clip = read_clips(plain, [1])['inputs'][0]
    np.testing.assert_allclose(clip[0].numpy(), truth, rtol=1e-6)
    other = read_clips(augmented, [1])['inputs'][0]
    assert not np.allclose(other[0].numpy(), truth)
    # The config itself is as it was.
    assert len(cfg.train_dataloader.dataset.dataset.pipeline) == 4


def test_one_seed_one_mask(cfg):
    dataset = build_dataset(cfg)

    def mask(seed):
        return read_clips(dataset, [0, 1], seed)['data_samples'][1].mask

    first, state = mask(0), torch.get_rng_state()
    np.random.rand()
    assert torch.equal(mask(0), first)
    assert not torch.equal(mask(1), first)
    assert torch.equal(torch.get_rng_state(), state)  # nobody notices


def test_what_a_dataset_says(cfg):
    dataset = build_dataset(cfg)
    view = body_view(dataset, view='side')
    assert (view.up, view.view, view.num_coordinates, view.vectors) == (
        '+x', 'side', 3, False)
    assert view.layout.name == 'ntu25'
    assert class_names(dataset) == ['walk', 'sit']


def test_config_without_clips():
    with pytest.raises(ValueError, match='no train_dataloader'):
        build_dataset(Config(dict(default_scope='mmaction')))


def test_a_body_that_nobody_told_of():
    """Its joints alone tell which it is, if a preset has as many."""
    assert BodyView().known_body_of(20).num_joints == 20
    assert BodyView(layout='ntu25').known_body_of(25).name == 'ntu25'
    with pytest.raises(ValueError, match="7 joints: give the dataset's"):
        BodyView().known_body_of(7)
