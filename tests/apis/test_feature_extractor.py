# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features: those of the evaluation, per clip and per person, on disk."""
import json
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.apis import FeatureExtractor, InputError
from skel_ssl.apis.config_parts import split_dataset
from skel_ssl.evaluation.feature_cache import hash_file
from skel_ssl.evaluation.feature_source import evaluation_datasets
from skel_ssl.evaluation.features import extract_features
from skel_ssl.registry import DATASETS, MODELS
from tests.apis.tiny_models import (
    LINEAR,
    PRETRAIN,
    ROOT,
    TINY_PRETRAIN,
    TINY_PROBE,
    make_clip,
    save_model,
    save_pretraining,
    save_probe,
)

READOUTS = ('mean', 'joint', 'joint_std', 'flat')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('pre') / 'pre.pth'
    save_pretraining(path)
    return path


@pytest.fixture(scope='module')
def extract(checkpoint):
    return FeatureExtractor(
        PRETRAIN, checkpoint, device='cpu', cfg_options=TINY_PRETRAIN)


def clips_of_all_kinds():
    """Two persons, one, an absent one first, a copy, one frame."""
    absent, copied = make_clip(2, 2), make_clip(3, 2)
    absent[0] = 0
    copied[1] = copied[0]
    return [make_clip(0, 2), make_clip(1), absent, copied,
            make_clip(4, frames=1)]


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    clips = [dict(frame_dir=f'c{i}', label=i % 3, keypoint=clip,
                  total_frames=clip.shape[1])
             for i, clip in enumerate(clips_of_all_kinds())]
    names = [clip['frame_dir'] for clip in clips]
    (tmp_path / 'demo_3d.pkl').write_bytes(pickle.dumps(dict(
        split=dict(xsub_train=names, xsub_val=names[:2]), annotations=clips)))
    monkeypatch.setenv('SKEL_DATA', str(tmp_path))
    return tmp_path / 'demo_3d.pkl'


def evaluate(dataset, backbone, readouts):
    init_default_scope('mmaction')
    return extract_features(
        DATASETS.build(dataset), backbone,
        MODELS.build(dict(type='ActionDataPreprocessor')), readouts)


class TestAgainstTheEvaluation:

    def test_every_readout(self, extract, pickled):
        train = evaluation_datasets(Config.fromfile(LINEAR))['train']
        expected = evaluate(train, extract.backbone, READOUTS)
        for readout in READOUTS:
            found = extract.extract(pickled, readout, batch_size=2)
            known = expected[readout]
            np.testing.assert_allclose(
                found.features, known.features, atol=1e-5)
            np.testing.assert_array_equal(found.labels, known.labels)
            np.testing.assert_array_equal(found.names, known.names)
            np.testing.assert_array_equal(found.persons, known.num_persons)

    def test_splits(self, checkpoint, pickled):
        cfg = Config.fromfile(LINEAR)
        # Random sampling: each clip of a split has a seed of its own.
        cfg.val_dataloader.dataset.pipeline = cfg.multi_clip_pipeline
        extract = FeatureExtractor(
            cfg, checkpoint, device='cpu', cfg_options=TINY_PROBE)
        datasets = evaluation_datasets(cfg)
        for split, part in (('train', 'train'), ('val', 'test')):
            known = evaluate(datasets[part], extract.backbone, ['mean'])
            known = known['mean']
            found = extract.extract_split(split)
            np.testing.assert_allclose(
                found.features, known.features, atol=1e-5)
            np.testing.assert_array_equal(found.names, known.names)

    def test_splits_of_a_pretraining(self, extract, pickled):
        # Read again: the environment names the data.
        cfg = Config.fromfile(PRETRAIN)
        dataset = split_dataset(cfg, 'train')
        kinds = [step['type'] for step in dataset['pipeline']]
        assert 'PoseRandomRotate' not in kinds
        assert not any('Mask' in kind for kind in kinds)
        with pytest.raises(ValueError, match='no val_dataloader.*benchmarks'):
            split_dataset(cfg, 'val')


class TestRows:

    def test_an_absent_person_changes_nothing(self, extract):
        first, second = extract([make_clip(1), np.concatenate(
            [make_clip(1), np.zeros((1, 40, 25, 3), np.float32)])])
        np.testing.assert_allclose(first, second, atol=1e-6)

    def test_batch_against_single(self, extract):
        clips = clips_of_all_kinds()
        together = extract(clips)
        alone = np.concatenate([extract(clip) for clip in clips])
        np.testing.assert_allclose(together, alone, atol=1e-5)
        assert together.dtype == np.float32 and together.shape == (5, 16)
        assert np.abs(together[0] - together[1]).max() > 1e-3

    def test_persons(self, extract):
        clips = clips_of_all_kinds()
        found = extract.extract(clips, per_person=True, batch_size=3)
        assert found.clips.tolist() == [0, 0, 1, 2, 3, 4]
        assert found.persons.tolist() == [0, 1, 0, 0, 0, 0]
        assert found.names.tolist() == [f'input {i}' for i in found.clips]
        averaged = [found.features[found.clips == i].mean(0)
                    for i in range(5)]
        np.testing.assert_allclose(extract(clips), averaged, atol=1e-5)

    def test_tokens(self, extract):
        tokens = extract(clips_of_all_kinds(), 'tokens')
        assert tokens.shape == (6, 8, 25, 16)  # 32 frames in patches of 4
        persons = extract(clips_of_all_kinds(), per_person=True)
        np.testing.assert_allclose(tokens.mean((1, 2)), persons, atol=1e-5)
        joints = extract(clips_of_all_kinds(), 'joint', per_person=True)
        np.testing.assert_allclose(
            tokens.mean(1).reshape(6, -1), joints, atol=1e-5)

    def test_absent_persons_are_not_computed(self, extract, monkeypatch):
        seen = []
        encode = extract.backbone.encode
        monkeypatch.setattr(extract.backbone, 'encode', lambda persons, kept: (
            seen.append(len(persons)), encode(persons, kept))[1])
        extract(clips_of_all_kinds())
        assert seen == [6]  # all clips at once; a copy is no person

    def test_views_are_averaged_and_persons_refused(self, checkpoint):
        cfg = Config.fromfile(LINEAR)
        cfg.val_dataloader.dataset.pipeline = cfg.multi_clip_pipeline
        extract = FeatureExtractor(
            cfg, checkpoint, device='cpu', cfg_options=TINY_PROBE)
        assert extract(make_clip(0)).shape == (1, 16)
        with pytest.raises(ValueError, match='10 crops.*num_clips=1'):
            extract(make_clip(0), 'tokens')

    def test_ten_thousand_frames(self, extract):
        assert np.isfinite(extract(make_clip(0, frames=10_000))).all()


class TestWeights:

    def test_teacher_and_student(self, checkpoint, tmp_path):
        model = save_pretraining(tmp_path / 'pre.pth')

        def make(weights):
            return FeatureExtractor(
                PRETRAIN, tmp_path / 'pre.pth', weights, 'cpu',
                cfg_options=TINY_PRETRAIN).backbone.state_dict()

        teacher = model.teacher.module.state_dict()
        student = model.backbone.state_dict()
        for weights, expected in ((None, teacher), ('teacher', teacher),
                                  ('student', student)):
            found = make(weights)
            assert all(torch.equal(found[k], v) for k, v in expected.items())

    def test_a_recognizer(self, tmp_path):
        model = save_probe(tmp_path / 'probe.pth')
        extract = FeatureExtractor(
            LINEAR, tmp_path / 'probe.pth', device='cpu',
            cfg_options=TINY_PROBE)
        assert extract.about['prefix'] == 'backbone.'
        with torch.inference_mode():
            inputs = extract.pipeline(dict(
                keypoint=make_clip(1), total_frames=40))['inputs']
            tokens = model.backbone(inputs.float())
        np.testing.assert_allclose(
            extract(make_clip(1))[0], tokens[0, 0].mean((1, 2)), atol=1e-5)
        with pytest.raises(ValueError, match='target.teacher.module.'):
            FeatureExtractor(LINEAR, tmp_path / 'probe.pth', 'teacher',
                             cfg_options=TINY_PROBE)

    def test_what_cannot_be_meant(self, checkpoint):
        with pytest.raises(ValueError, match="no weights='best'.*teacher"):
            FeatureExtractor(PRETRAIN, checkpoint, 'best')
        with pytest.raises(ValueError, match='size mismatch'):
            FeatureExtractor(PRETRAIN, checkpoint)
        with pytest.raises(ValueError, match="'kinect20'.*made for 'ntu25'"):
            FeatureExtractor(PRETRAIN, checkpoint, layout='kinect20',
                             cfg_options=TINY_PRETRAIN)

    @pytest.mark.parametrize('config', sorted(
        path.name for path in (ROOT / 'configs').glob('*_nwucla.py')))
    def test_every_method(self, config, tmp_path):
        """Their encoders, in full size."""
        cfg = Config.fromfile(ROOT / 'configs' / config)
        init_default_scope('mmaction')
        model = MODELS.build(cfg.model)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'm.pth')
        extract = FeatureExtractor(cfg, tmp_path / 'm.pth', device='cpu')
        clip = make_clip(0, joints=20, frames=50)
        assert np.isfinite(extract([clip, clip[:, ::-1]])).all()
        assert extract(clip, 'tokens').ndim == 4


class TestFiles:

    def test_content(self, extract, checkpoint, pickled, tmp_path):
        out = tmp_path / 'a' / 'f.npz'
        found = extract.extract(pickled, 'joint', out=out)
        assert [path.name for path in out.parent.iterdir()] == ['f.npz']
        with np.load(out) as file:
            for name, value in found._asdict().items():
                np.testing.assert_array_equal(file[name], value)
            meta = json.loads(str(file['meta']))
        assert meta['checkpoint_sha256'] == hash_file(checkpoint)
        assert meta['config'] == str(PRETRAIN)
        assert meta['readout'] == 'joint' and meta['per_person'] is False
        assert meta['prefix'] == 'target.teacher.module.'

    def test_without_labels(self, extract, tmp_path):
        extract(make_clip(0), out=tmp_path / 'f.npz')
        with np.load(tmp_path / 'f.npz') as file:
            assert 'labels' not in file.files

    def test_a_fault_leaves_what_was_there(self, extract, tmp_path):
        out = tmp_path / 'f.npz'
        out.write_bytes(b'old')
        with pytest.raises(InputError, match='input 1'):
            extract([make_clip(0), make_clip(0) * np.nan], out=out,
                    batch_size=1)
        assert out.read_bytes() == b'old'
        assert [path.name for path in tmp_path.iterdir()] == ['f.npz']


def test_bad_inputs_are_left_out(extract, tmp_path):
    clips = [make_clip(0), make_clip(0, joints=17), make_clip(1)]
    found = extract.extract(clips, out=tmp_path / 'f.npz', skip_bad=True)
    assert found.names.tolist() == ['input 0', 'input 2']
    np.testing.assert_allclose(found.features, extract(clips[::2]), atol=1e-5)
    with np.load(tmp_path / 'f.npz') as file:
        (reason, ) = json.loads(str(file['meta']))['skipped']
    assert reason.startswith('input 1: it has 17 joints')
    with pytest.raises(InputError, match='no input can be used'):
        extract(clips[1], skip_bad=True)


def test_faults(extract, tmp_path):
    with pytest.raises(InputError, match='list of inputs is empty'):
        extract([])
    with pytest.raises(InputError, match="17 joints.*'ntu25'"):
        extract(make_clip(0, joints=17))
    with pytest.raises(ValueError, match="no read-out 'max'.*'tokens'"):
        extract(make_clip(0), 'max')
    with pytest.raises(ValueError, match='batch_size=0'):
        extract(make_clip(0), batch_size=0)
    with pytest.raises(ValueError, match="'f.pkl' must end in .npz"):
        extract(make_clip(0), out='f.pkl')


def test_a_diverged_encoder(checkpoint):
    extract = FeatureExtractor(
        PRETRAIN, checkpoint, device='cpu', cfg_options=TINY_PRETRAIN)
    extract.backbone.norm.bias.data[0] = np.nan
    with pytest.raises(ValueError, match="'input 0' are NaN.*diverge"):
        extract(make_clip(0))


def test_a_backbone_is_never_random_in_part(tmp_path):
    """STRL takes a graph encoder alone; the rest of it has learned nothing."""
    save_model(tmp_path / 'e.pth', ROOT / 'configs/skeletonmae_demo.py', {})
    with pytest.raises(ValueError, match='would stay random'):
        FeatureExtractor(
            ROOT / 'configs/benchmarks/finetune/skeletonmae_demo.py',
            tmp_path / 'e.pth')
