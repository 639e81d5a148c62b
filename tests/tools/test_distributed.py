# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Two processes give the numbers of one on the same global batch."""
import argparse
import os

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from skel_ssl.datasets import SeededSampler
from skel_ssl.models.ops.distributed import global_mean
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.registry import DATASETS
from skel_ssl.utils import cli
from tests.tools.conftest import (
    NUM_TRAIN,
    PRETRAIN,
    ROOT,
    TINY_PRETRAIN,
    free_port,
    load_weights,
    random_walk,
    training_log,
    write_clips,
)

RANKS, PER_RANK, EPOCHS = 2, 2, 5
STEPS = EPOCHS * NUM_TRAIN // (RANKS * PER_RANK)
OPTIONS = (*TINY_PRETRAIN, f'train_cfg.max_epochs={EPOCHS}',
           'param_scheduler.warmup=1',
           # Which hidden tokens are predicted is drawn by each rank.
           'model.query_ratio=1.0')

# A clip may lose its person to the crop; normalisation, which drops the
# frames without a person, would bring it back.
CONFIG = f'''
_base_ = {str(ROOT / PRETRAIN)!r}
normalize, crop = _base_.train_dataloader.dataset.pipeline[:2]
assert normalize.type == 'PosePreNormalize3D'
_base_.train_dataloader.dataset.pipeline.remove(normalize)
crop.p_interval = (0.5, )
del normalize, crop
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config, and clips of two, one and, once cropped, no persons."""
    folder = tmp_path_factory.mktemp('distributed')
    rng = np.random.default_rng(0)
    clips = []
    for i in range(NUM_TRAIN + 1):
        clip = random_walk(rng, 1 + i % 2, 30)
        if i % 3 == 0:
            clip[:, 1:-1] = 0
        clips.append(clip)
    write_clips(folder / 'demo_3d.pkl', clips)
    (folder / 'config.py').write_text(CONFIG)
    return folder


@pytest.fixture(scope='module')
def runs(run_tool, folder):
    """The work dirs of one process and of two."""
    env = dict(SKEL_DATA=str(folder))
    one, two = folder / 'one', folder / 'two'
    run_tool('tools/train.py', folder / 'config.py', '--work-dir', one,
             '--cfg-options', *OPTIONS,
             f'train_dataloader.batch_size={RANKS * PER_RANK}', **env)
    run_tool('tools/dist_train.sh', folder / 'config.py', RANKS, '--work-dir',
             two, '--cfg-options', *OPTIONS,
             f'train_dataloader.batch_size={PER_RANK}', **env,
             PORT=str(free_port()))
    return one, two


def test_the_ranks_are_uneven(folder, monkeypatch):
    """What the comparison below rests on, read off the data."""
    monkeypatch.setenv('SKEL_DATA', str(folder))
    cfg = Config.fromfile(folder / 'config.py')
    init_default_scope('mmaction')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    persons = torch.tensor(
        [int(present_persons(clip['inputs']).sum()) for clip in dataset])
    assert set(persons.tolist()) == {0, 1, 2}
    sampler = SeededSampler(dataset, seed=cfg.randomness.seed)
    order = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        order += list(sampler)
    # Rank r of two gets every second clip of a step.
    held = persons[order].view(STEPS, PER_RANK, RANKS).sum(1)
    assert (held[:, 0] != held[:, 1]).sum() > STEPS / 3
    empty = held == 0
    assert (empty[:, 0] & ~empty[:, 1]).any()
    assert (empty[:, 1] & ~empty[:, 0]).any()


@pytest.mark.parametrize('key', ['loss', 'grad_norm', 'lr', 'ema_decay'])
def test_every_step_is_the_same(runs, key):
    one, two = (training_log(run) for run in runs)
    assert list(one) == list(two) == list(range(1, STEPS + 1))
    assert [r[key] for r in two.values()] == pytest.approx(
        [r[key] for r in one.values()], rel=0, abs=1e-5)


def test_the_weights_are_the_same(runs):
    """But for key biases: softmax does not see them, so that their gradient
    is rounding noise, which Adam blows up to the size of a step."""
    one, two = (load_weights(run / f'epoch_{EPOCHS}.pth') for run in runs)
    first = load_weights(runs[0] / 'epoch_1.pth')
    assert one.keys() == two.keys()
    for name, value in one.items():
        other, start = two[name], first[name]
        if name.endswith('attn.qkv.bias'):
            value, other, start = (
                torch.cat([x.chunk(3)[0], x.chunk(3)[2]])
                for x in (value, other, start))
        elif name.endswith('attn.kv.bias'):
            value, other, start = (x.chunk(2)[1] for x in
                                   (value, other, start))
        torch.testing.assert_close(value, other, rtol=0, atol=1e-5, msg=name)
        assert not torch.allclose(value.float(), start.float(),
                                  atol=1e-5), f'{name} has not moved'


def test_the_wrapper_heeds_the_config(monkeypatch):
    monkeypatch.setattr(cli, 'init_dist_without_accelerator', lambda _: True)
    monkeypatch.setenv('LOCAL_RANK', '0')
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    args = parser.parse_args(['--launcher', 'pytorch', '--work-dir', '.'])
    for unused in (False, True):
        cfg = Config.fromfile(ROOT / PRETRAIN)
        if unused:
            cfg.find_unused_parameters = True
        cli.merge_common_arguments(cfg, args)
        wrapper = cfg.model_wrapper_cfg
        assert wrapper.find_unused_parameters == unused
        assert wrapper.device_ids is None


def test_batch_norm_is_synchronised_on_gpus_only(monkeypatch):
    """torch cannot do it on a CPU, and would fail in the first step."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    args = parser.parse_args(['--launcher', 'pytorch', '--work-dir', '.'])
    for without_gpu in (True, False):
        monkeypatch.setattr(cli, 'init_dist_without_accelerator',
                            lambda _, answer=without_gpu: answer)
        cfg = Config.fromfile(
            ROOT / 'configs/benchmarks/linear/skel2vec_demo.py')
        assert cfg.sync_bn == 'torch'
        cli.merge_common_arguments(cfg, args)
        assert cfg.get('sync_bn') == (None if without_gpu else 'torch')


PARTS = {
    'uneven': ([1., 2., 6.], [5.]),
    'one empty': ([], [3., 5.]),
    'all empty': ([], []),
}


def line() -> nn.Module:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, .5)
    nn.init.constant_(model.bias, -1.)
    return model


def squares(model: nn.Module, points: list) -> torch.Tensor:
    return model(torch.tensor(points).view(-1, 1)).square()


def loss_and_gradient(model: nn.Module, loss: torch.Tensor) -> list:
    loss.backward()
    return [x.item() for x in (loss, *(p.grad for p in model.parameters()))]


def one_rank(rank, port, queue):
    """Fit a line under DDP to this rank's share of the points."""
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=RANKS)
    found = {}
    for name, parts in PARTS.items():
        model = DistributedDataParallel(line())
        loss = global_mean(squares(model, parts[rank]))
        found[name] = loss_and_gradient(model, loss)
    queue.put(found)


def test_global_mean_of_two_processes():
    queue = mp.get_context('spawn').Queue()
    context = mp.spawn(
        one_rank, (free_port(), queue), nprocs=RANKS, join=False)
    try:
        ranks = [queue.get(timeout=120) for _ in range(RANKS)]
    finally:
        # Not joined: torch can deadlock when a process group is torn down
        # while a DDP model of it is still alive.
        for process in context.processes:
            process.kill()
    for name, (first, second) in PARTS.items():
        model, points = line(), first + second
        loss = squares(model, points).sum() / max(len(points), 1)
        expected = pytest.approx(loss_and_gradient(model, loss))
        assert [found[name] for found in ranks] == [expected] * RANKS, name
