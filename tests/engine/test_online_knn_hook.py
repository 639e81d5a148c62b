# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A glance at the training set's held-out subjects that changes nothing."""
import copy
import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from skel_ssl.engine.hooks import OnlineKNNHook
from skel_ssl.evaluation.neighbours import evaluate_neighbours
from skel_ssl.evaluation.probe_choice import validation_folds
from skel_ssl.models.ops.pooling import pool_tokens
from skel_ssl.registry import DATASETS, MODELS
from tests.tools.conftest import PRETRAIN, ROOT, random_walk

NUM_CLIPS = 20


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Clips of five subjects and two classes."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    annotations = [
        dict(
            frame_dir=f'S001C001P{i % 5:03}R001A{i:03}',
            label=i % 2,
            total_frames=30,
            keypoint=random_walk(rng, 1 + i % 2, 30)) for i in range(NUM_CLIPS)
    ]
    names = [x['frame_dir'] for x in annotations]
    split = dict(xsub_train=names, xsub_val=names[:2])
    (folder / 'demo_3d.pkl').write_bytes(
        pickle.dumps(dict(split=split, annotations=annotations)))
    return folder


@pytest.fixture
def cfg(folder, monkeypatch, tmp_path):
    monkeypatch.setenv('SKEL_DATA', str(folder))
    cfg = Config.fromfile(ROOT / PRETRAIN)
    cfg.model.backbone.update(embed_dims=16, depth=1)
    cfg.model.neck.update(in_dims=16, embed_dims=16)
    cfg.model.target.top_k = 1
    cfg.model.head.update(in_dims=16, out_dims=16)
    cfg.train_dataloader.update(
        batch_size=4, num_workers=0, persistent_workers=False)
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler.warmup = 1
    cfg.custom_hooks = cfg.custom_hooks[:1]  # the teacher's
    return cfg


def looked_at(cfg):
    """The training set as the hook is to see it."""
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    return dict(dataset, pipeline=cfg.val_pipeline, test_mode=True)


def train(cfg, work_dir, **hook):
    cfg = copy.deepcopy(cfg)
    if hook:
        cfg.custom_hooks.append(dict(type='OnlineKNNHook', **hook))
    cfg.work_dir = cfg.experiment_name = str(work_dir)
    runner = Runner.from_cfg(cfg)
    runner.train()
    (log, ) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(x) for x in log.read_text().splitlines()]
    return runner, [x for x in lines if any('monitor' in k for k in x)]


def test_it_is_the_teachers_accuracy(cfg, tmp_path):
    runner, lines = train(
        cfg,
        tmp_path,
        dataset=looked_at(cfg),
        interval=2,
        max_clips=15,
        ks=(1, 3))
    (line, ) = lines  # two epochs, a look at every second
    assert line['step'] == 2 * NUM_CLIPS // 4

    dataset = DATASETS.build(looked_at(cfg))
    kept = np.linspace(0, NUM_CLIPS - 1, 15).round().astype(int)
    infos = [dataset.get_data_info(int(i)) for i in kept]
    labels = np.array([x['label'] for x in infos])
    subjects = np.array([x['frame_dir'][8:12] for x in infos])
    split = validation_folds(labels, subjects)[0]
    assert not set(subjects[split.fit]) & set(subjects[split.held_out])
    clips = torch.cat([dataset[int(i)]['inputs'] for i in kept]).float()
    with torch.no_grad():
        x = pool_tokens(runner.model.teacher.module(clips))
    y = torch.from_numpy(labels)
    expected = evaluate_neighbours(
        x[split.fit],
        y[split.fit],
        x[split.held_out],
        y[split.held_out],
        ks=(1, 3),
        retrieval=False)
    for name, value in expected.items():
        assert line[f'monitor/{name}'] == pytest.approx(value)


def test_a_loop_of_iterations(cfg, tmp_path):
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=6, val_interval=6)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint = None
    hook = dict(dataset=looked_at(cfg), interval=3)
    with pytest.raises(ValueError, match='OnlineKNNHook counts epochs.* has '
                                         'none: give it by_epoch=False'):
        train(cfg, tmp_path / 'epochs', **hook)
    _, lines = train(cfg, tmp_path / 'steps', by_epoch=False, **hook)
    assert [x['step'] for x in lines] == [2, 5]


def test_training_does_not_notice(cfg, tmp_path):
    cfg.model.backbone.drop_path_rate = .5  # draws from the generator
    states = [
        train(cfg, tmp_path / name, **hook)[0].model.state_dict()
        for name, hook in (('without', {}),
                           ('with', dict(dataset=looked_at(cfg), interval=1)))
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_a_model_without_a_teacher(cfg):
    model = MODELS.build(cfg.model)
    model.target.teacher = None
    hook = OnlineKNNHook(looked_at(cfg), ks=(1, ))
    runner = SimpleNamespace(model=model, train_loop=None)
    hook.before_train(runner)
    model.train()
    found = hook._measure(runner)
    assert 0 <= found['knn_k1'] <= 1
    assert model.backbone.training


@pytest.mark.parametrize('name', ['interval', 'max_clips', 'batch_size'])
def test_bad_arguments(name):
    with pytest.raises(ValueError, match=f'{name}=0 must be 1 or more'):
        OnlineKNNHook({}, **{name: 0})


def test_k_beyond_the_gallery(cfg, tmp_path):
    with pytest.raises(ValueError, match='k=50 is larger than the gallery'):
        train(cfg, tmp_path, dataset=looked_at(cfg), ks=(50, ))
