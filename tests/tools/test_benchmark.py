# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The step benchmark: what it compares is the same, and adds up."""
import json
from itertools import count

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.models.ops.persons import present_persons
from skel_ssl.utils.step_benchmark import (
    Stopwatch,
    Trainee,
    compare,
    count_flops,
    make_batch,
    memory_in_use,
    plain_config,
)
from tests.tools.conftest import ROOT

CPU = torch.device('cpu')
METHODS = ('skel2vec_demo', 'mamp_demo', 'hacm_demo', 'skeletonmae_demo')


@pytest.fixture
def cfg(request):
    init_default_scope('mmaction')
    return Config.fromfile(ROOT / 'configs' / f'{request.param}.py')


@pytest.mark.parametrize('cfg', METHODS, indirect=True)
def test_both_ways_are_the_same_mathematics(cfg):
    batch = make_batch(cfg, 2, .25)
    plain = plain_config(cfg)
    plain.model.data_preprocessor.skip_empty_persons = True
    found = compare(Trainee(cfg, CPU).gradients(batch),
                    Trainee(plain, CPU).gradients(batch))
    assert found['max_rel_loss_diff'] < 1e-5
    assert found['max_rel_grad_diff'] < 1e-4


@pytest.mark.parametrize('cfg', METHODS, indirect=True)
def test_a_step_trains_and_its_parts_add_up(cfg, monkeypatch):
    batch = make_batch(cfg, 2, .25)
    trainee = Trainee(cfg, CPU)
    before = trainee.gradients(batch)['loss']
    trainee.watch.seconds.clear()
    clock = count()  # a second passes whenever somebody looks
    monkeypatch.setattr(trainee.watch, 'now', lambda: float(next(clock)))
    spent = sum(trainee.step(batch) for _ in range(3))
    parts = dict(trainee.watch.seconds)
    assert sum(parts.values()) == spent - 3 * 2  # before and after the parts
    assert trainee.gradients(batch)['loss'] != before
    assert {'data', 'student', 'decoder', 'backward', 'optimizer'} <= set(
        parts)
    has_teacher = trainee.model.teacher is not None
    assert has_teacher == ('teacher' in parts) == ('ema' in parts)
    if has_teacher:
        assert trainee.model.teacher.num_updates == 3


@pytest.mark.parametrize('cfg', ['skel2vec_demo'], indirect=True)
@pytest.mark.parametrize('absent', [0., .25, .5])
def test_absent_persons_of_a_batch(cfg, absent):
    clips = torch.stack(make_batch(cfg, 4, absent)['inputs'])
    assert clips.shape == (4, 1, 2, 32, 25, 3)
    present = present_persons(clips)
    assert int((~present).sum()) == round(8 * absent)
    assert present[:, :, 0].all()
    with pytest.raises(ValueError, match='each of 4 clips keeps one'):
        make_batch(cfg, 4, .75)


@pytest.mark.parametrize('cfg', ['mamp_demo'], indirect=True)
def test_operations_grow_with_the_persons(cfg):
    one, two = (count_flops(cfg, make_batch(cfg, 4, share))
                for share in (.5, 0.))
    assert two == 2 * one > 0


def test_time_of_nested_parts_is_counted_once(monkeypatch):
    watch = Stopwatch(CPU)
    clock = iter([0., 1., 4., 10.])
    monkeypatch.setattr(watch, 'now', lambda: next(clock))
    with watch.part('outer'):
        with watch.part('inner'):
            pass
    assert dict(watch.seconds) == dict(inner=3., outer=7.)


def test_parts_are_left_out_on_request():
    watch = Stopwatch(CPU)
    watch.running = False
    with watch.part('outer'):
        pass
    assert not watch.seconds


def test_memory_is_counted():
    before = memory_in_use(CPU, reset=True)
    block = torch.ones(64, 2**20)
    assert memory_in_use(CPU) - before > .9 * 4 * block.numel()


def test_the_tool(run_tool, tmp_path):
    out = tmp_path / 'b.json'
    printed = run_tool('tools/analysis/benchmark.py', 'configs/mamp_demo.py',
                       '--batch-size', 2, '--absent', .25, '--steps', 1,
                       '--dtype', 'bfloat16', '--baseline', '--out',
                       out).stdout
    record = json.loads(out.read_text())
    assert {
        'speedup', 'clips_per_second', 'tflops', 'peak_memory_bytes',
        'max_rel_loss_diff', 'max_rel_grad_diff', 'shares', 'machine'
    } <= set(record)
    assert record['speedup'] == pytest.approx(
        record['baseline']['seconds_per_step'] / record['seconds_per_step'])
    for shares in (record['shares'], record['baseline']['shares']):
        assert sum(shares.values()) == pytest.approx(1)
    assert record['max_rel_loss_diff'] < .05
    assert 'times the baseline' in printed
