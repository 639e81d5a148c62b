# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Training on person batches, by the configs and the tool."""
import math
import sys
from importlib import util

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from skel_ssl.datasets import ClipDataset, PersonDataset, SeededSampler
from skel_ssl.utils.cli import build_runner
from skel_ssl.utils.person_batches import use_person_batches
from tests.tools.conftest import (
    ROOT,
    TINY_PRETRAIN,
    TINY_PROBE,
    random_walk,
    write_clips,
)

TINY = [x for x in TINY_PRETRAIN if '.head.out' not in x and 'top_k' not in x]
PROBE = 'benchmarks/linear/skel2vec_demo'
STRL = 'benchmarks/finetune/skeletonmae_demo_scratch'
TINY = {
    'skel2vec_demo': [*TINY, 'model.target.top_k=2', 'model.head.out_dims=16'],
    'mamp_demo': TINY,
    # Sizes of their own, which fit each other.
    'hacm_demo': TINY_PRETRAIN[2:7],
    'skeletonmae_demo': TINY_PRETRAIN[2:7],
    PROBE: TINY_PROBE,
    STRL: [x for x in TINY_PROBE if 'backbone' not in x and 'head' not in x],
}
PERSONS, BATCH = 21, 4


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """16 clips to train, of which every third one shows two persons."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(24):
        clip = random_walk(rng, 1 if i % 3 == 0 else 2, rng.integers(20, 51))
        if i % 3 == 1:
            clip[1] = 0
        clips.append(clip)
    write_clips(tmp_path / 'demo_3d.pkl', clips)
    monkeypatch.setenv('SKEL_DATA', str(tmp_path))


class Notes(Hook):
    """Notes losses and shapes."""

    def before_train(self, runner):
        self.losses, self.shapes = [], set()

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(outputs['loss'].item())
        if torch.is_tensor(data_batch['inputs']):
            self.shapes.add(tuple(data_batch['inputs'].shape))


def load(name):
    return Config.fromfile(ROOT / f'configs/{name}.py')


def load_tool():
    spec = util.spec_from_file_location('train', ROOT / 'tools/train.py')
    tool = util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def train(name, where, tmp_path, monkeypatch, *options):
    """One epoch by the functions of tools/train.py."""
    tool = load_tool()
    work_dir = tmp_path / f'{name}{len(list(tmp_path.iterdir()))}'
    batches = [] if where is None else ['--person-batches', where]
    monkeypatch.setattr(sys, 'argv', [
        'train.py', f'{name}.py', *batches, '--work-dir',
        str(work_dir), '--cfg-options', *TINY[name],
        f'train_dataloader.batch_size={BATCH}', 'train_cfg.max_epochs=1',
        f'experiment_name={work_dir.name}', *options
    ])
    args, cfg = tool.parse_args(), load(name)
    tool.merge_args(cfg, args)
    if 'warmup' in cfg.param_scheduler:
        cfg.param_scheduler.warmup = 1
    runner, notes = build_runner(cfg), Notes()
    runner.register_hook(notes)
    runner.train()
    return runner, notes


@pytest.mark.parametrize('name, ways', [
    ('skel2vec_demo', [('device', 0), ('workers', 0), ('workers', 1),
                       ('workers', 2)]),
    ('mamp_demo', [('device', 0), ('workers', 2)]),
])
def test_every_way_has_the_same_losses(name, ways, tmp_path, monkeypatch):
    losses = []
    for where, workers in ways:
        runner, notes = train(name, where, tmp_path, monkeypatch,
                              f'train_dataloader.num_workers={workers}')
        assert runner.train_dataloader.num_workers == workers
        assert isinstance(runner.train_dataloader.dataset, PersonDataset)
        assert isinstance(runner.train_dataloader.sampler, SeededSampler)
        assert notes.shapes == {(BATCH, 32, 25, 3)}
        losses.append(notes.losses)
    assert len(losses[0]) == PERSONS // BATCH
    assert all(math.isfinite(x) and x > 0 for x in losses[0])
    assert losses == [losses[0]] * len(ways)


@pytest.mark.parametrize('name', ['hacm_demo', 'skeletonmae_demo'])
def test_other_methods(name, tmp_path, monkeypatch):
    """One makes its masks itself, to the other frames are graphs."""
    _, notes = train(name, 'device', tmp_path, monkeypatch)
    assert len(notes.losses) == PERSONS // BATCH
    assert all(map(math.isfinite, notes.losses))
    assert notes.shapes == {(BATCH, 32, 25, 3)}


def test_clips_with_labels(tmp_path, monkeypatch):
    """This probe trains without augmentation: all ways see the same clips."""
    losses = []
    for where, workers in [(None, 0), ('device', 0), ('workers', 0),
                           ('workers', 2)]:
        runner, notes = train(PROBE, where, tmp_path, monkeypatch,
                              f'train_dataloader.num_workers={workers}')
        dataset = runner.train_dataloader.dataset
        assert isinstance(dataset, ClipDataset) == (where is not None)
        assert notes.shapes == (
            {(BATCH, 1, 2, 32, 25, 3)} if where else set())
        assert len(notes.losses) == 16 // BATCH
        losses.append(notes.losses)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert losses[2:] == losses[1:2] * 2


def test_a_head_of_mmaction2(tmp_path, monkeypatch):
    """STRL, with augmentation; the last batch has fewer clips."""
    _, notes = train(STRL, 'workers', tmp_path, monkeypatch,
                     'train_dataloader.batch_size=6')
    assert notes.shapes == {(6, 1, 2, 32, 25, 3), (4, 1, 2, 32, 25, 3)}
    assert all(map(math.isfinite, notes.losses))


def test_what_is_set():
    cfg, before = load('skel2vec_demo'), load('skel2vec_demo')
    use_person_batches(cfg, 'workers')
    loader = cfg.train_dataloader
    assert loader.dataset == dict(
        type='PersonDataset',
        dataset=before.train_dataloader.dataset,
        batch_size=32)
    assert loader.drop_last and loader.num_workers == 1
    assert loader.sampler == before.train_dataloader.sampler
    for key in ('dataset', 'collate_fn', 'drop_last'):
        cfg.train_dataloader.pop(key)
        before.train_dataloader.pop(key, None)
    assert cfg.to_dict() == before.to_dict()


def test_what_is_set_for_a_device(monkeypatch):
    monkeypatch.setattr('skel_ssl.utils.person_batches.get_device',
                        lambda: 'cuda')
    cfg = load('skel2vec_demo')
    cfg.train_dataloader.update(
        pin_memory=True, prefetch_factor=4, num_workers=8)
    use_person_batches(cfg, 'device')
    loader = cfg.train_dataloader
    assert loader.dataset.device == 'cuda'
    assert loader.num_workers == 0 and 'prefetch_factor' not in loader
    assert not loader.persistent_workers and not loader.pin_memory


@pytest.mark.parametrize('name', [
    'benchmarks/finetune/mamp_ntu60', 'benchmarks/linear/skel2vec_ntu60',
    'benchmarks/finetune/skeletonmae_ntu60_3d'
])
def test_what_is_set_with_labels(name):
    cfg, before = load(name), load(name)
    use_person_batches(cfg, 'workers')
    loader = cfg.train_dataloader
    assert loader.dataset == dict(
        type='ClipDataset', dataset=before.train_dataloader.dataset)
    assert loader.get('drop_last') == before.train_dataloader.get('drop_last')
    usual = before.model.get('data_preprocessor',
                             dict(type='ActionDataPreprocessor'))
    assert cfg.model.data_preprocessor == dict(
        usual, type='ClipDataPreprocessor')
    assert cfg.val_dataloader == before.val_dataloader


@pytest.mark.parametrize('name, where, static', [
    ('skel2vec_demo', 'workers', True), ('skel2vec_demo', None, False),
    (PROBE, 'workers', False), (PROBE, None, False)
])
def test_shapes_that_stay_are_compiled_once(name, where, static, monkeypatch):
    """Of clips, some have more persons than others, and the last batch has
    fewer clips."""
    batches = [] if where is None else ['--person-batches', where]
    monkeypatch.setattr(sys, 'argv',
                        ['train.py', 'x.py', '--compile', *batches])
    tool, cfg = load_tool(), load(name)
    tool.merge_args(cfg, tool.parse_args())
    assert cfg.custom_hooks[-1] == dict(
        type='CompileHook', **(dict(dynamic=False) if static else {}))


def test_configs_without_batches():
    cfg = load('benchmarks/finetune/mamp_ntu60')
    cfg.model.data_preprocessor.type = 'Another'
    with pytest.raises(ValueError, match='ActionDataPreprocessor.* Another'):
        use_person_batches(cfg, 'device')
    cfg.model.type = 'Recognizer3D'
    with pytest.raises(ValueError, match='the model is Recognizer3D: leave'):
        use_person_batches(cfg, 'device')
    cfg = load('benchmarks/knn/skel2vec_demo')
    with pytest.raises(ValueError, match='leave --person-batches out'):
        use_person_batches(cfg, 'device')
    cfg = load('mamp_demo')
    cfg.model.data_preprocessor.skip_empty_persons = False
    with pytest.raises(ValueError, match='computes absent persons, which'):
        use_person_batches(cfg, 'device')
    with pytest.raises(ValueError, match="not 'gpu'"):
        use_person_batches(load('mamp_demo'), 'gpu')


def test_the_monitor_takes_persons(tmp_path, monkeypatch):
    """Its clips are persons then, in batches that it joins itself."""
    runner, _ = train('skel2vec_demo', 'workers', tmp_path, monkeypatch)
    (monitor, ) = (
        h for h in runner.hooks if type(h).__name__ == 'CollapseMonitorHook')
    shapes = [batch['inputs'].shape for batch in monitor._batches]
    assert sum(shape[0] for shape in shapes) == PERSONS
    assert all(torch.is_tensor(batch['mask']) for batch in monitor._batches)
