# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/evaluate.py: the whole table, the cache, foreign backbones, faults."""
import dataclasses
import json
import pickle
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from mmengine.config import Config

from skel_ssl.evaluation import feature_source
from skel_ssl.evaluation.encoders import build_backbone
from skel_ssl.evaluation.evaluate import evaluate_frozen
from skel_ssl.evaluation.feature_cache import FeatureCache
from skel_ssl.evaluation.features import extract_features
from skel_ssl.evaluation.frozen import Settings
from skel_ssl.evaluation.report import collect_figures
from tests.tools.conftest import (
    NUM_TRAIN,
    NUM_VAL,
    ROOT,
    TINY_ENCODER,
    load_weights,
    under,
)

LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
OPTIONS = (*TINY_ENCODER, 'train_dataloader.num_workers=0')
QUICK = ('--epochs', 3, '--seeds', 2, '--subsets', 2, '--ks', 1, 5)
SETTINGS = Settings(seeds=2, epochs=3, ks=(1, 5), subsets=2)


@pytest.fixture
def cfg(skel_data, monkeypatch):
    """The tiny encoder's linear probe, read in this process."""
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    cfg = Config.fromfile(ROOT / LINEAR)
    cfg.model.backbone.update(embed_dims=16, depth=2)
    return cfg


def values(evaluation):
    return {(f.kind, f.readout, f.metric): f.values
            for f in collect_figures(evaluation)}


def test_the_tool(run_tool, pretrained, tmp_path):
    out = tmp_path / 'new' / 'found.json'
    command = ('tools/evaluate.py', LINEAR, pretrained, '--cache-dir',
               tmp_path / 'cache', '--out', out, '--readouts', 'mean', 'joint',
               '--penalties', '0.01', '0.1', *QUICK, '--cfg-options', *OPTIONS)
    first = run_tool(*command, COLUMNS='100')
    for text in ('linear', 'logistic', 'kNN k=5', 'mAP', 'R@5',
                 'linear, 10 % labels', 'chance', f'(n={NUM_VAL})', 'raw',
                 'random', 'pre-trained', 'linear, 10 clips a class',
                 'joint', f'{NUM_TRAIN} training clips (xsub_train)'):
        assert text in first.stdout, text
    record = json.loads(out.read_text())
    assert record['protocol'] == 'frozen/1'
    assert record['protocols'] == [
        'linear', 'logistic', 'knn', 'retrieval', 'semi', 'few'
    ]
    assert record['settings']['penalties'] == [.01, .1]
    assert {r['encoder']['kind'] for r in record['runs']} == {
        'raw', 'random', 'pretrained'
    }
    (trained, ) = (r['encoder'] for r in record['runs']
                   if r['encoder']['kind'] == 'pretrained'
                   and r['readout'] == 'mean')
    assert trained['checkpoint'] == str(pretrained)
    assert trained['prefix'] == 'target.teacher.module.'
    for key in ('data', 'settings', 'config_sha256', 'environment', 'command',
                'seconds', 'warnings'):
        assert record[key], key
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / 'cache').iterdir()}
    # Raw coordinates (and those flat), two random encoders, one trained.
    assert len(files) == 2 * (3 + 2 * 2 + 2)

    again = run_tool(*command, COLUMNS='100')
    assert files == {
        p: p.stat().st_mtime_ns
        for p in (tmp_path / 'cache').iterdir()
    }
    assert json.loads(out.read_text())['figures'] == record['figures']
    assert again.stdout.splitlines()[:20] == first.stdout.splitlines()[:20]


def test_augmented_views(cfg, pretrained, tmp_path):
    cache = FeatureCache(tmp_path)
    asked = dict(protocols=['linear', 'knn'], floors=(), cache=cache)
    plain = values(
        evaluate_frozen(cfg, [pretrained], settings=SETTINGS, **asked))
    with_views = dataclasses.replace(SETTINGS, views=2)
    found = values(
        evaluate_frozen(cfg, [pretrained], settings=with_views, **asked))
    place = ('pretrained', 'mean', 'knn_k1')
    assert found[place] == plain[place]
    assert len(list(tmp_path.iterdir())) == 2 + 2
    sets = [np.load(p)['features'] for p in tmp_path.iterdir()]
    train = [x for x in sets if len(x) == NUM_TRAIN]
    assert len(train) == 3
    for i, a in enumerate(train):
        for b in train[:i]:
            assert np.abs(a - b).max() > .01  # each was drawn for itself


def test_the_cache_spares_the_encoder_and_the_data(cfg, pretrained, tmp_path,
                                                   monkeypatch):
    cache = FeatureCache(tmp_path)
    first = evaluate_frozen(
        cfg, [pretrained], settings=SETTINGS, cache=cache)

    def fail(*args, **kwargs):
        raise AssertionError('features were extracted again')

    monkeypatch.setattr(feature_source, 'extract_features', fail)
    monkeypatch.setattr(feature_source.DATASETS, 'build', fail)
    again = evaluate_frozen(
        cfg, [pretrained], settings=SETTINGS, cache=cache)
    assert values(first) == values(again)


@pytest.mark.parametrize('change', [
    'weights', 'data', 'pipeline', 'split', 'persons', 'readout', 'prefix'
])
def test_a_cache_of_something_else_is_not_used(cfg, pretrained, tmp_path,
                                               monkeypatch, change):
    cache = FeatureCache(tmp_path / 'cache')
    asked = dict(
        protocols=['knn'], floors=(), settings=SETTINGS, cache=cache)
    evaluate_frozen(cfg, [pretrained], **asked)
    extracted = []

    def spy(*args, **kwargs):
        extracted.append(kwargs)
        return extract_features(*args, **kwargs)

    monkeypatch.setattr(feature_source, 'extract_features', spy)
    checkpoint = pretrained
    if change == 'weights':
        checkpoint = pretrained.with_name('epoch_1.pth')
    elif change == 'data':
        data = pickle.loads(Path(cfg.ann_file).read_bytes())
        data['annotations'][0]['keypoint'][0, 0, 0, 0] += .01
        path = tmp_path / 'demo_3d.pkl'
        path.write_bytes(pickle.dumps(data))
        for part in ('train', 'test'):
            cfg[f'{part}_dataloader'].dataset.ann_file = str(path)
    elif change == 'pipeline':
        for t in cfg.val_dataloader.dataset.pipeline:
            if t.type == 'PoseTemporalCropResize':
                t.p_interval = (.8, )
    elif change == 'split':
        # Each way around a set of its own: neither is one of the two.
        cfg.train_dataloader.dataset.split = ['xsub_train', 'xsub_val']
        cfg.test_dataloader.dataset.split = ['xsub_val', 'xsub_train']
    elif change == 'prefix':
        asked['prefix'] = 'backbone.'
    elif change == 'persons':
        asked['persons'] = 'all'
    elif change == 'readout':
        asked['readouts'] = ['joint']
    evaluate_frozen(cfg, [checkpoint], **asked)
    assert len(extracted) == 2
    evaluate_frozen(cfg, [checkpoint], **asked)
    assert len(extracted) == 2


def test_the_figures_are_those_of_the_runner(cfg, run_tool, pretrained,
                                             tmp_path):
    """kNN through tools/test.py has the same features and votes."""
    run_tool('tools/test.py', 'configs/benchmarks/knn/skel2vec_demo.py',
             '--pretrained', pretrained, '--work-dir', tmp_path,
             '--cfg-options', *TINY_ENCODER, 'test_dataloader.num_workers=0',
             'test_evaluator.ks=[1,5]')
    (file, ) = tmp_path.glob('*/*.json')
    expected = json.loads(file.read_text())
    found = values(
        evaluate_frozen(
            cfg, [pretrained],
            protocols=['knn'],
            floors=(),
            settings=SETTINGS))
    for k in (1, 5):
        ((value, ), ) = found['pretrained', 'mean', f'knn_k{k}']
        assert value == pytest.approx(expected[f'knn/top1_k{k}'])


def test_all_persons(cfg, pretrained):
    """The empty slots are encoded, and averaged in."""
    backbone = build_backbone(cfg, 'all')
    assert not backbone.skip_empty_persons
    seen = []
    backbone.norm.register_forward_hook(lambda m, a, out: seen.append(out))
    clip = torch.zeros(1, 2, backbone.num_frames, 25, 3)
    clip[:, 0] = torch.randn(backbone.num_frames, 25, 3)
    backbone(clip)
    assert len(seen[0]) == 2
    both = [
        values(
            evaluate_frozen(
                cfg, [pretrained],
                protocols=['retrieval'],
                floors=(),
                persons=persons,
                settings=SETTINGS)) for persons in ('valid', 'all')
    ]
    assert both[0] != both[1]


def test_random_encoders_differ_and_are_the_same_again(cfg):
    weights = [build_backbone(cfg, seed=s).state_dict() for s in (0, 1, 0)]
    name = 'blocks.0.mlp.fc1.weight'
    assert torch.equal(weights[0][name], weights[2][name])
    assert not torch.equal(weights[0][name], weights[1][name])
    # A config that loads weights has no random encoder of those weights.
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='none')
    build_backbone(cfg)


def test_a_collapsed_encoder_is_flagged(run_tool, pretrained, tmp_path):
    """Its last norm multiplies by nothing: the output is constant."""
    state = under('target.teacher.module.', load_weights(pretrained))
    state['norm.weight'] = torch.zeros_like(state['norm.weight'])
    state['norm.bias'] = torch.ones_like(state['norm.bias'])
    path = tmp_path / 'collapsed.pth'
    torch.save(dict(state_dict=state), path)
    command = ('tools/evaluate.py', LINEAR, path, '--protocols', 'knn',
               '--no-cache', '--out', tmp_path / 'x.json', *QUICK,
               '--cfg-options', *OPTIONS)
    done = run_tool(*command)
    assert 'COLLAPSED' in done.stdout and 'constant' in done.stdout
    assert 'COLLAPSED' in json.loads(
        (tmp_path / 'x.json').read_text())['warnings'][0]
    healthy = run_tool(*command[:2], pretrained, *command[3:])
    assert 'COLLAPSED' not in healthy.stdout


def test_stgcnpp_of_mmaction2(skel_data, tmp_path):
    """MMAction2's own config, its own checkpoint format, 17 classes."""
    configs = Path(mmaction.__file__).parent / '.mim/configs/skeleton/stgcnpp'
    name = 'stgcnpp_8xb16-joint-u100-80e_ntu60-xsub-keypoint-3d.py'
    cfg = Config.fromfile(configs / name)
    for part, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{part}_dataloader'].dataset
        dataset = dataset.get('dataset', dataset)
        dataset.update(
            ann_file=str(skel_data / 'demo_3d.pkl'), split=f'xsub_{split}')
    cfg.model.backbone.base_channels = 8
    backbone = build_backbone(cfg, seed=3)
    path = tmp_path / 'stgcnpp.pth'
    torch.save(
        dict(
            state_dict={
                **{f'backbone.{k}': v
                   for k, v in backbone.state_dict().items()},
                'cls_head.fc.weight': torch.zeros(60, 32)
            }), path)
    found = evaluate_frozen(
        cfg, [path], readouts=['mean', 'joint'], settings=SETTINGS)
    figures = values(found)
    assert {k for k, _, _ in figures} == {'raw', 'random', 'pretrained'}
    for value in figures.values():
        assert np.isfinite(value).all()
    # Features of the persons present: empty slots give features, too.
    trained = [r for r in found.runs if r.encoder.kind == 'pretrained']
    assert trained[0].diagnostics['max_rank'] == min(NUM_VAL - 1, 32)


# ------------------------------------------------------------------ the faults


def refuse(run_tool, tmp_path, checkpoint, *args, config=LINEAR, **env):
    done = run_tool(
        'tools/evaluate.py',
        config,
        checkpoint,
        '--out',
        tmp_path / 'x.json',
        '--no-cache',
        *args,
        code=1,
        **env)
    assert not (tmp_path / 'x.json').exists()
    assert 'Traceback' not in done.stderr
    return done.stderr


def test_weights_that_do_not_fit(run_tool, pretrained, tmp_path):
    error = refuse(run_tool, tmp_path, pretrained)  # the real, larger encoder
    assert 'is not a checkpoint of this SkeletonTransformer' in error
    assert 'size mismatch' in error or 'Missing key' in error


def test_no_checkpoint(run_tool, tmp_path):
    error = refuse(run_tool, tmp_path, 'nowhere.pth')
    assert 'there is no checkpoint nowhere.pth' in error


def test_a_config_of_pretraining(run_tool, pretrained, tmp_path):
    error = refuse(
        run_tool, tmp_path, pretrained, config='configs/skel2vec_demo.py')
    assert 'configs/benchmarks/linear' in error


def test_no_data(run_tool, pretrained, tmp_path):
    error = refuse(run_tool, tmp_path, pretrained, '--cfg-options', *OPTIONS,
                   SKEL_DATA=str(tmp_path))
    assert 'there is no data file' in error and 'data/README.md' in error


def test_no_labels(run_tool, pretrained, skel_data, tmp_path):
    data = pickle.loads((skel_data / 'demo_3d.pkl').read_bytes())
    for clip in data['annotations']:
        del clip['label']
    (tmp_path / 'demo_3d.pkl').write_bytes(pickle.dumps(data))
    error = refuse(run_tool, tmp_path, pretrained, '--cfg-options', *OPTIONS,
                   SKEL_DATA=str(tmp_path))
    assert '16 of 16 clips' in error and "no 'label'" in error


def test_a_test_set_of_one_clip(cfg, pretrained, tmp_path, monkeypatch):
    data = pickle.loads(Path(cfg.ann_file).read_bytes())
    data['split']['one'] = data['split']['xsub_val'][:1]
    path = tmp_path / 'demo_3d.pkl'
    path.write_bytes(pickle.dumps(data))
    cfg.test_dataloader.dataset.update(ann_file=str(path), split='one')
    monkeypatch.setattr(feature_source, 'extract_features', None)
    with pytest.raises(ValueError, match=r"'test' \(split='one'\) has 1 clip"):
        evaluate_frozen(cfg, [pretrained], settings=SETTINGS)


def test_too_many_neighbours(run_tool, pretrained, tmp_path):
    error = refuse(run_tool, tmp_path, pretrained, '--protocols', 'knn',
                   '--ks', 17, '--cfg-options', *OPTIONS)
    assert 'k=17 neighbours of a gallery of 16 clips' in error


def test_a_class_without_a_training_clip(run_tool, pretrained, skel_data,
                                         tmp_path):
    data = pickle.loads((skel_data / 'demo_3d.pkl').read_bytes())
    for clip in data['annotations']:
        if clip['frame_dir'] in data['split']['xsub_train']:
            clip['label'] %= 2
    (tmp_path / 'demo_3d.pkl').write_bytes(pickle.dumps(data))
    done = run_tool(
        'tools/evaluate.py',
        LINEAR,
        pretrained,
        '--no-cache',
        '--out',
        tmp_path / 'x.json',
        *QUICK,
        '--cfg-options',
        *OPTIONS,
        SKEL_DATA=str(tmp_path))
    assert 'classes [2] have no training clip' in done.stdout


def test_a_stream(run_tool, pretrained, tmp_path):
    """Another stream is other data: other figures, and noted as such."""

    def evaluate(checkpoint, stream, code=0):
        return run_tool(
            'tools/evaluate.py', LINEAR, checkpoint, '--cache-dir',
            tmp_path / 'cache', '--out', tmp_path / f'{stream}.json',
            '--stream', stream, '--protocols', 'retrieval', *QUICK,
            '--cfg-options', *OPTIONS, code=code)

    done = evaluate(pretrained, 'bm', code=1)
    assert 'was trained on the stream j' in done.stderr
    bare = tmp_path / 'bare.pth'  # it does not say what it was trained on
    torch.save(dict(state_dict=load_weights(pretrained)), bare)
    figures = {}
    for stream in ('j', 'bm'):
        evaluate(bare, stream)
        out = tmp_path / f'{stream}.json'
        record = json.loads(out.read_text())
        assert record['stream'] == stream
        figures[stream] = record['figures']
    assert figures['j'] != figures['bm']
