# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features of a data set: order, pooling of persons, read-outs, faults."""
import pickle
import weakref
import zlib

import numpy as np
import pytest
import torch
from mmaction.datasets import PoseDataset
from mmengine.registry import init_default_scope

from skel_ssl.datasets import RaggedStore, SkeletonDataset
from skel_ssl.datasets.subjects import subject_of
from skel_ssl.evaluation.features import (
    describe_clips,
    extract_features,
    raw_coordinates,
)
from skel_ssl.models.backbones import SkeletonTransformer
from skel_ssl.registry import MODELS
from tests.datasets.store_clips import both, make_clips

T, V = 6, 25


def clip_of(name, persons, label, frames=T):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    keypoint = rng.normal(size=(2, frames, V, 3)).astype(np.float32)
    if persons == 1:
        keypoint[1] = 0
    elif persons == 'copy':
        keypoint[1] = keypoint[0]
    return dict(
        frame_dir=name,
        label=label,
        total_frames=frames,
        keypoint=keypoint)


CLIPS = [
    clip_of('S001C001P003R001A001', 2, 0),
    clip_of('S001C001P004R001A002', 1, 1),
    clip_of('a01_s07_e00_v01', 'copy', 2),
    dict(clip_of('mine', 1, 0), recording=7)
]
PIPELINE = [
    dict(type='FormatGCNInput', num_person=2),
    dict(type='PackActionInputs')
]


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / 'clips.pkl'
    path.write_bytes(pickle.dumps(dict(split={}, annotations=CLIPS)))
    return SkeletonDataset(str(path), PIPELINE, test_mode=True)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmaction')


def extract(dataset, encode=raw_coordinates, **kwargs):
    readouts = kwargs.pop('readouts', ['mean'])
    return extract_features(
        dataset,
        encode,
        MODELS.build(dict(type='ActionDataPreprocessor')),
        readouts,
        **{
            'batch_size': 3,
            **kwargs
        })


def test_what_is_known_of_the_clips(dataset):
    found = extract(dataset)['mean']
    assert found.names.tolist() == [x['frame_dir'] for x in CLIPS]
    assert found.labels.tolist() == [0, 1, 2, 0]
    assert found.subjects.tolist() == ['P003', 'P004', 's07', '']
    assert found.recordings.tolist() == ['', '', '', '7']
    assert found.num_persons.tolist() == [2, 1, 1, 1]
    assert found.features.dtype == np.float32
    assert len(found) == 4


def test_no_keypoints_are_kept_to_describe_clips():
    arrays, alive = [], []

    class Clips:
        """A data set that is not one of ours."""

        def __len__(self):
            return len(CLIPS)

        def get_data_info(self, i):
            info = dict(CLIPS[i], keypoint=CLIPS[i]['keypoint'].copy())
            arrays.append(weakref.ref(info['keypoint']))
            alive.append(sum(array() is not None for array in arrays))
            return info

    assert len(describe_clips(Clips())['labels']) == len(CLIPS)
    assert len(alive) == len(CLIPS) and max(alive) <= 2


def test_no_keypoints_are_read_from_a_store(tmp_path, monkeypatch):
    pkl, store = (describe_clips(SkeletonDataset(path, []))
                  for path in both(tmp_path, make_clips()))
    monkeypatch.setattr(RaggedStore, 'read', None)
    again = describe_clips(SkeletonDataset(str(tmp_path / 'clips.store'), []))
    for name, values in pkl.items():
        assert values.tolist() == store[name].tolist() == again[name].tolist()


def test_valid_leaves_absent_persons_out_and_all_does_not(dataset):
    valid = extract(dataset)['mean'].features
    every = extract(dataset, persons='all')['mean'].features
    for row, all_row, clip in zip(valid, every, CLIPS):
        persons = clip['keypoint'].mean((1, 2))
        present = [p for i, p in enumerate(persons)
                   if p.any() and not (i and (p == persons[0]).all())]
        np.testing.assert_allclose(row, np.mean(present, 0), atol=1e-6)
        np.testing.assert_allclose(all_row, persons.mean(0), atol=1e-6)
    # Two persons: no difference. A copy: none for the mean of coordinates.
    np.testing.assert_allclose(valid[[0, 2]], every[[0, 2]], atol=1e-6)
    assert not np.allclose(valid[[1, 3]], every[[1, 3]], atol=1e-3)


def test_readouts_of_one_pass(dataset):
    calls = []

    def encode(clips):
        calls.append(len(clips))
        return raw_coordinates(clips)

    found = extract(
        dataset, encode, readouts=['mean', 'joint', 'joint_std', 'flat'])
    assert calls == [3, 1]
    widths = {k: v.features.shape[1] for k, v in found.items()}
    assert widths == dict(mean=3, joint=75, joint_std=150, flat=T * 75)
    person = CLIPS[1]['keypoint'][0]
    np.testing.assert_allclose(
        found['joint'].features[1], person.mean(0).ravel(), atol=1e-6)
    np.testing.assert_allclose(
        found['joint_std'].features[1, 75:],
        person.std(0).ravel(),
        atol=1e-5)
    np.testing.assert_allclose(
        found['flat'].features[1], person.ravel(), atol=1e-6)


def test_the_encoder_of_a_backbone(dataset):
    torch.manual_seed(0)
    backbone = SkeletonTransformer(
        num_frames=T, patch_len=3, embed_dims=16, depth=1, num_heads=2).eval()
    found = extract(dataset, backbone)['mean'].features
    with torch.no_grad():
        tokens = backbone.encode(torch.from_numpy(CLIPS[1]['keypoint'][:1]))
    np.testing.assert_allclose(found[1], tokens[0].mean(0), atol=1e-5)


def test_several_clips_of_a_sample_are_averaged(dataset, tmp_path):
    two = [
        dict(
            type='PoseTemporalCropResize',
            clip_len=3,
            p_interval=(.5, 1.),
            min_frames=2,
            num_clips=2), *PIPELINE
    ]
    path = dataset.ann_file
    found = extract(SkeletonDataset(path, two, test_mode=True))['mean']
    again = extract(SkeletonDataset(path, two, test_mode=True))['mean']
    assert np.array_equal(found.features, again.features)  # seeded
    assert found.features.shape == (4, 3)
    assert found.num_persons.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_views_of_a_data_set_that_knows_no_seeds(tmp_path, num_workers):
    turned = [dict(type='PoseRandomRotate'), *PIPELINE]
    path = tmp_path / 'split.pkl'
    names = [x['frame_dir'] for x in CLIPS]
    path.write_bytes(
        pickle.dumps(dict(split=dict(all=names), annotations=CLIPS)))
    clips = PoseDataset(str(path), turned, split='all')
    found = [
        extract(clips, view=view, num_workers=num_workers)['mean'].features
        for view in (1, 2, 1)
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.array_equal(found[0], found[2])


def test_a_running_training_does_not_notice(dataset):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    extract(dataset)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize('label, said', [
    (None, "no 'label'"), (-1, '-1, not a whole'), (1.5, '1.5, not a whole'),
    ('wave', "'wave', not a whole")
])
def test_unlabelled_clips(tmp_path, label, said):
    clips = [dict(x) for x in CLIPS]
    clips[1]['label'] = label
    path = tmp_path / 'clips.pkl'
    path.write_bytes(pickle.dumps(dict(split={}, annotations=clips)))
    dataset = SkeletonDataset(str(path), PIPELINE, test_mode=True)
    with pytest.raises(ValueError, match=f'1 of 4 clips .*P004.*{said}'):
        extract(dataset)


def test_bad_features(dataset):
    with pytest.raises(ValueError, match='features of 4 clips are NaN'):
        extract(dataset, lambda x: raw_coordinates(x) * np.nan)
    with pytest.raises(ValueError, match=r'\(N, M, D, S, V\)'):
        extract(dataset, lambda x: x.mean((1, 2)))
    with pytest.raises(ValueError, match="persons='some' must be one of"):
        extract(dataset, persons='some')


@pytest.mark.parametrize('annotation, subject', [
    (dict(frame_dir='S017C003P020R002A060'), 'P020'),
    (dict(frame_dir='x/S017C003P020R002A060.skeleton'), 'P020'),
    (dict(frame_dir='a12_s10_e04_v03'), 's10'),
    (dict(frame_dir='a1_s8_t4'), 's8'),
    (dict(frame_dir='a1_s8_t4', subject=3), '3'),
    (dict(frame_dir='a1_s8_t4', subject=None), None),
    (dict(frame_dir='video_0042'), None),
    (dict(frame_dir='is8bad'), None),
    (dict(frame_dir='walk_s3'), None),  # a session, perhaps
])
def test_subjects(annotation, subject):
    assert subject_of(annotation) == subject
