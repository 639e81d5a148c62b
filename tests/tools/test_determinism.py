# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""One seed, one run: any number of workers, cut off and resumed or not."""
import json
import os
import sys
from importlib import util

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from skel_ssl.utils.cli import build_runner
from skel_ssl.utils.person_batches import use_person_batches
from tests.tools.conftest import (
    FULL_LOG,
    ROOT,
    TINY_PRETRAIN,
    TINY_PROBE,
    load_weights,
)

EPOCHS, CUT_AT = 2, 7  # 4 or 5 steps in an epoch
CLOCKS = ('time', 'data_time', 'memory')
COMMON = ('train_dataloader.batch_size=4', *FULL_LOG,
          'default_hooks.checkpoint.interval=1')
METHODS = {
    'skel2vec_demo':
    TINY_PRETRAIN,
    'mamp_demo': [
        x for x in TINY_PRETRAIN if not x.startswith(('model.target',
                                                      'model.head.out'))
    ],
    # Draws its masks in the model.
    'hacm_demo':
    COMMON,
    # Has dropout.
    'skeletonmae_demo':
    COMMON,
    'benchmarks/linear/skel2vec_demo': (*TINY_PROBE, *COMMON),
    # Has dropout in the head, and drop path.
    'benchmarks/finetune/skel2vec_ntu60':
    (*COMMON, 'model.backbone.depth=2', 'model.backbone.embed_dims=16',
     'model.backbone.num_heads=2', 'model.cls_head.in_channels=16',
     'model.cls_head.hidden_channels=16')
}


class PowerCut(Hook):
    """Ends a run in the middle of an epoch."""
    priority = 'LOWEST'

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == CUT_AT:
            raise InterruptedError


def make_runner(name, work_dir, workers, persons=None, **settings):
    """The runner of a config, shrunk."""
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    options = [option.split('=') for option in METHODS[name]]
    cfg.merge_from_dict(
        {key: json.loads(value.lower()) for key, value in options})
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        if loader is not None:
            loader.update(num_workers=workers, persistent_workers=workers > 0)
            loader.dataset.ann_file = loader.dataset.ann_file.replace(
                'ntu60', 'demo')
    cfg.train_cfg.max_epochs = EPOCHS
    if 'val_interval' in cfg.train_cfg:
        cfg.train_cfg.val_interval = 1
    if 'warmup' in cfg.param_scheduler:
        cfg.param_scheduler.warmup = 1
    if persons:
        use_person_batches(cfg, persons)
    cfg.update(settings, work_dir=str(work_dir), experiment_name=str(work_dir))
    return build_runner(cfg)


def train(runner):
    """Train, and leave no workers behind: until the garbage collector finds
    the runner they wait for work."""
    try:
        runner.train()
    finally:
        for loop in (runner.train_loop, runner.val_loop):
            workers = getattr(loop, 'dataloader', None)
            if workers is not None and workers._iterator is not None:
                workers._iterator._shutdown_workers()


def read_log(work_dir):
    """What was logged of each iteration and each validation.

    Not the times, and not the collapse monitor: it looks at the first clips
    of the epoch in which a process starts.
    """
    (log, ) = work_dir.glob('*/vis_data/scalars.json')
    records = map(json.loads, log.read_text().splitlines())
    return [{
        key: value
        for key, value in record.items() if key not in CLOCKS
    } for record in records if 'monitor/loss' not in record]


def same(weights, others):
    assert weights.keys() == others.keys()
    return all(value.equal(others[key]) for key, value in weights.items())


def test_what_cublas_asks_for(monkeypatch):
    """It is set before the runner is built, and what a user set stays."""
    spec = util.spec_from_file_location('train', ROOT / 'tools/train.py')
    tool = util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    name = 'CUBLAS_WORKSPACE_CONFIG'
    path = str(ROOT / 'configs/mamp_demo.py')
    for words, before, after in (([], None, None),
                                 (['--deterministic'], None, ':4096:8'),
                                 (['--deterministic'], ':16:8', ':16:8')):
        monkeypatch.setenv(name, before or '')
        if before is None:
            monkeypatch.delenv(name)
        monkeypatch.setattr(sys, 'argv', ['train.py', path, *words])
        cfg = Config.fromfile(path)
        tool.merge_args(cfg, tool.parse_args())
        assert os.environ.get(name) == after
        assert bool(cfg.randomness.get('deterministic')) == bool(words)


@pytest.mark.parametrize('name, persons', [
    *((name, None) for name in METHODS),
    ('skel2vec_demo', 'workers'),
    ('hacm_demo', 'workers'),
])
def test_one_seed_one_run(name, persons, skel_data, tmp_path, monkeypatch):
    """Every logged number and every weight, to the last bit."""
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    # A run writes its config six times, and the formatter is slow.
    monkeypatch.setattr(Config, 'pretty_text', '')
    straight = tmp_path / 'straight'
    train(make_runner(name, straight, 0, persons))
    expected = read_log(straight)
    weights = load_weights(straight / f'epoch_{EPOCHS}.pth')
    for workers, others in ((1, 4), (4, 1)):
        cut, rest = (tmp_path / f'{part}{workers}' for part in ('cut', 'rest'))
        runner = make_runner(name, cut, workers, persons)
        runner.register_hook(PowerCut())
        with pytest.raises(InterruptedError):
            train(runner)
        begun = read_log(cut)
        assert begun == expected[:len(begun)]
        saved = str(cut / 'epoch_1.pth')
        train(
            make_runner(
                name, rest, others, persons, resume=True, load_from=saved))
        resumed = read_log(rest)
        assert resumed == expected[-len(resumed):]
        assert len(begun) + len(resumed) > len(expected)
        assert same(load_weights(rest / f'epoch_{EPOCHS}.pth'), weights)
    # The comparison would be empty if these did not move.
    losses = [record['loss'] for record in expected if 'loss' in record]
    assert len(losses) in (8, 10) and len(set(losses)) == len(losses)
    assert not same(load_weights(straight / 'epoch_1.pth'), weights)
