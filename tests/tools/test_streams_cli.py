# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""``--stream``: what it sets, in every config, and what it leaves alone."""
import argparse
import copy
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.apis import FeatureExtractor, init_model
from skel_ssl.datasets import PoseGenSkeFeat
from skel_ssl.registry import MODELS
from skel_ssl.utils import cli
from skel_ssl.utils.streams import set_stream, stream_fault
from tests.tools.conftest import PRETRAIN, ROOT

CONFIGS = sorted(
    path for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'suites'} & set(path.parts))


def make(*names):
    """A pipeline of transforms; each has an argument of its own."""
    return [dict(type=name, feats=['j'], argument=name) for name in names]


def config(**datasets):
    return Config({
        f'{part}_dataloader': dict(batch_size=1, dataset=dataset)
        for part, dataset in datasets.items()
    })


def changes(before, after, path=()):
    """The places where two configs differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        assert before.keys() == after.keys()
        return [
            c for key in before
            for c in changes(before[key], after[key], (*path, key))
        ]
    if (isinstance(before, list) and isinstance(after, list)
            and len(before) == len(after) and path[-1] != 'feats'):
        return [
            c for i, pair in enumerate(zip(before, after))
            for c in changes(*pair, (*path, i))
        ]
    return [] if before == after else [path]


@pytest.mark.parametrize(
    'path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT / 'configs')))
def test_every_config(path):
    cfg = Config.fromfile(path)
    before = copy.deepcopy(cfg.to_dict())
    loader = cfg.train_dataloader or cfg.test_dataloader
    if loader.dataset.ann_file.endswith('_2d.pkl'):
        # Joints with scores, as in the only paper that uses them.
        with pytest.raises(ValueError, match='makes no stream'):
            set_stream(cfg, 'bm')
        return
    set_stream(cfg, 'bm')
    found = 0
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        if loader is not None:
            feats = [t.feats for t in loader.dataset.pipeline if 'feats' in t]
            assert feats == [['bm']]
            found += 1
    changed = changes(before, cfg.to_dict())
    assert found and changed
    assert {place[-1] for place in changed} == {'feats'}
    set_stream(cfg, 'j')
    assert changes(before, cfg.to_dict()) == []


def test_inside_of_wrappers():
    names = [('a', 'GenSkeFeat'), ('mmaction.PoseGenSkeFeat', 'a'),
             (PoseGenSkeFeat, ), ('GenSkeFeat', 'PoseGenSkeFeat')]
    first, second, third, fourth = (
        dict(type='SkeletonDataset', pipeline=make(*n)) for n in names)
    cfg = config(
        train=dict(type='RepeatDataset', times=2, dataset=first),
        val=dict(
            type='ConcatDataset',
            datasets=[
                dict(type='RepeatDataset', times=2, dataset=second), third
            ]),
        test=fourth)
    before = copy.deepcopy(cfg.to_dict())
    set_stream(cfg, 'b')
    val = ('val_dataloader', 'dataset', 'datasets')
    one = ('dataset', 'pipeline')
    assert changes(before, cfg.to_dict()) == [
        ('train_dataloader', 'dataset', *one, 1, 'feats'),
        (*val, 0, *one, 0, 'feats'),
        (*val, 1, 'pipeline', 0, 'feats'),
        ('test_dataloader', *one, 0, 'feats'),
        ('test_dataloader', *one, 1, 'feats'),
    ]


@pytest.mark.parametrize('val', [
    dict(type='A', pipeline=make('FormatGCNInput')),
    dict(
        type='ConcatDataset',
        datasets=[
            dict(type='A', pipeline=make('GenSkeFeat')),
            dict(type='A', pipeline=make('FormatGCNInput'))
        ]),
    dict(type='A'),
])
def test_a_loader_without_streams_changes_nothing(val):
    cfg = config(train=dict(type='A', pipeline=make('GenSkeFeat')), val=val)
    before = copy.deepcopy(cfg.to_dict())
    with pytest.raises(ValueError) as error:
        set_stream(cfg, 'b')
    assert 'val_dataloader' in str(error.value)
    assert "add dict(type='PoseGenSkeFeat', layout=" in str(error.value)
    assert cfg.to_dict() == before


def test_pipelines_by_name():
    """An evaluation makes its augmented clips with ``train_pipeline``."""
    cfg = config(train=dict(type='A', pipeline=make('GenSkeFeat')))
    cfg.train_pipeline = make('A', 'PoseGenSkeFeat')
    cfg.mask_pipeline = make('A')  # that makes none is no error
    before = copy.deepcopy(cfg.to_dict())
    set_stream(cfg, 'b')
    assert changes(before, cfg.to_dict()) == [
        ('train_dataloader', 'dataset', 'pipeline', 0, 'feats'),
        ('train_pipeline', 1, 'feats'),
    ]


@pytest.mark.parametrize('cfg, stream, said', [
    (config(train=dict(pipeline=make('GenSkeFeat'))), 'x',
     "no stream 'x'.*jm"),
    (Config(dict(train_dataloader=None)), 'b', 'no data loader'),
])
def test_nothing_to_set(cfg, stream, said):
    with pytest.raises(ValueError, match=said):
        set_stream(cfg, stream)


class TestAnotherStreamThanInTraining:
    """A model's figures on other data mean nothing."""

    def trained_on(self, *feats):
        cfg = config(train=dict(
            type='A', pipeline=[dict(type='GenSkeFeat', feats=list(feats))]))
        return dict(cfg=cfg.pretty_text)

    @pytest.mark.parametrize('trained, given, wanted', [
        ('b', 'j', 'stream b, and the config makes j: give --stream b'),
        ('j', 'bm', 'stream j, and the config makes bm'),
        ('b', 'b', None),
    ])
    def test_what_is_said(self, trained, given, wanted):
        cfg = config(val=dict(type='A', pipeline=make('PoseGenSkeFeat')))
        set_stream(cfg, given)
        found = stream_fault(cfg, self.trained_on(trained))
        assert found is None if wanted is None else wanted in found

    def test_what_shares_a_stream_or_has_none_is_not_judged(self):
        cfg = config(val=dict(type='A', pipeline=make('GenSkeFeat')))
        bare = config(val=dict(type='A', pipeline=make('FormatGCNInput')))
        assert stream_fault(cfg, self.trained_on('b', 'j')) is None
        assert stream_fault(bare, self.trained_on('b')) is None
        for meta in ({}, dict(cfg="model = 1\nmyfeats=['b']"),
                     dict(cfg=None)):
            assert stream_fault(cfg, meta) is None

    def test_the_text_of_a_config_on_one_line_and_on_many(self):
        cfg = config(val=dict(type='A', pipeline=make('GenSkeFeat')))
        for text in ("feats=['b']", "feats=[\n    'b',\n]", '"feats": ["b"]',
                     'feats = ["b", "bm"]'):
            assert 'stream b' in stream_fault(cfg, dict(cfg=text))

    def test_a_checkpoint_is_refused(self, tmp_path):
        path = tmp_path / 'x.pth'
        cfg = Config.fromfile(ROOT / PRETRAIN)
        cfg.merge_from_dict({'model.backbone.embed_dims': 16,
                             'model.neck.in_dims': 16,
                             'model.head.out_dims': 16})
        init_default_scope('mmaction')
        model = MODELS.build(cfg.model)
        set_stream(cfg, 'b')
        torch.save(dict(state_dict=model.state_dict(),
                        meta=dict(cfg=cfg.pretty_text)), path)
        uses = (partial(init_model, checkpoint=path),
                partial(init_model, pretrained=path),
                partial(FeatureExtractor, checkpoint=path))
        for use in uses:
            use(cfg, device='cpu')
        set_stream(cfg, 'j')
        for use in uses:
            with pytest.raises(ValueError, match='x.pth was trained on.*b'):
                use(cfg, device='cpu')


def parse(*argv):
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    args = parser.parse_args(argv)
    args.config = str(ROOT / PRETRAIN)
    return args


@pytest.mark.parametrize('argv, feats, work_dir', [
    ((), ['j'], './work_dirs/skel2vec_demo'),
    (('--stream', 'bm'), ['bm'], './work_dirs/skel2vec_demo_bm'),
    (('--stream', 'b', '--work-dir', 'mine'), ['b'], 'mine'),
])
def test_the_switch(argv, feats, work_dir, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    cfg = Config.fromfile(ROOT / PRETRAIN)
    cli.merge_common_arguments(cfg, parse(*argv))
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [t.feats for t in pipeline if 'feats' in t] == [feats]
    assert cfg.work_dir == work_dir


def test_the_switch_knows_four_streams(capsys):
    with pytest.raises(SystemExit):
        parse('--stream', 'x')
    said = capsys.readouterr().err
    assert all(name in said for name in ('j', 'b', 'jm', 'bm'))
