# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The learning rate of every iteration against the published formula."""
import copy
import math

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from skel_ssl.engine.schedulers import WarmupCosineLR, warmup_cosine
from skel_ssl.registry import PARAM_SCHEDULERS
from tests.conftest import shared_file

BASE = 1e-3


def published(epoch, warmup, total, lowest):
    """The learning rate at a fractional epoch, in the words of the spec."""
    if epoch < warmup:
        return BASE * epoch / warmup
    share = min((epoch - warmup) / (total - warmup), 1)
    return lowest + (BASE - lowest) * (1 + math.cos(math.pi * share)) / 2


def make(epoch_length, optimizer=None, **kwargs):
    init_default_scope('mmaction')
    if optimizer is None:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='WarmupCosineLR', convert_to_iter_based=True, **kwargs),
        default_args=dict(optimizer=optimizer, epoch_length=epoch_length))
    return optimizer, scheduler


def rates(optimizer, scheduler, steps):
    """The rate that each of the next optimizer steps is taken with."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('warmup, total, eta_min_ratio', [
    (2, 8, .01),
    (20, 30, .5),
    (0, 5, 0.),
    (1.5, 4, .1),
])
def test_every_iteration(offset, warmup, total, eta_min_ratio):
    length = 7
    optimizer, scheduler = make(
        length,
        warmup=warmup,
        total=total,
        eta_min_ratio=eta_min_ratio,
        offset=offset)
    found = rates(optimizer, scheduler, (total + 2) * length)
    assert found == pytest.approx([
        published((i + offset) / length, warmup, total, eta_min_ratio * BASE)
        for i in range(len(found))
    ], abs=1e-15)


def test_landmarks():
    length, warmup, total = 10, 2, 6
    optimizer, scheduler = make(
        length, warmup=warmup, total=total, eta_min_ratio=.01)
    found = rates(optimizer, scheduler, (total + 1) * length)
    assert found[0] == pytest.approx(BASE / 20)  # the first of 20 rungs
    assert found.index(max(found)) == warmup * length - 1
    assert max(found) == pytest.approx(BASE)
    assert found[4 * length - 1] == pytest.approx(BASE * 1.01 / 2)
    # The end of the schedule, and what is trained beyond it.
    assert found[total * length - 1:] == pytest.approx([BASE / 100] * 11)


def test_an_offset_of_0_starts_at_a_rate_of_0():
    optimizer, scheduler = make(10, warmup=2, total=6, offset=0)
    assert rates(optimizer, scheduler, 1) == [0.]


def test_parameter_groups_keep_their_own_base():
    params = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [dict(params=params[:1], lr=BASE),
         dict(params=params[1:], lr=BASE / 4)])
    optimizer, scheduler = make(5, optimizer, warmup=1, total=3)
    for _ in range(15):
        first, second = optimizer.param_groups
        assert second['lr'] == pytest.approx(first['lr'] / 4)
        optimizer.step()
        scheduler.step()


def test_by_epoch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=BASE)
    init_default_scope('mmaction')
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='WarmupCosineLR', warmup=2, total=6),
        default_args=dict(optimizer=optimizer))
    assert rates(optimizer, scheduler, 6) == pytest.approx(
        [published(epoch, 2, 6, 0) for epoch in range(1, 7)])


@pytest.mark.parametrize('done', [3, 10, 25])
def test_a_saved_state_continues(done):
    settings = dict(epoch_length=5, warmup=2, total=8, eta_min_ratio=.01)
    expected = rates(*make(**settings), 40)
    optimizer, scheduler = make(**settings)
    rates(optimizer, scheduler, done)
    states = copy.deepcopy([optimizer.state_dict(), scheduler.state_dict()])
    optimizer, scheduler = make(**settings)
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    assert rates(optimizer, scheduler, 40 - done) == expected[done:]


class Line(BaseModel):

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, points, mode):
        return dict(loss=self.layer(points).square().mean())


class Rates(Hook):
    """Notes the rate that each iteration trains with."""

    def __init__(self):
        self.found = []

    def before_train_iter(self, runner, *args, **kwargs):
        self.found += runner.optim_wrapper.get_lr()['lr']


def test_a_run_that_stops_before_the_end_of_its_schedule(tmp_path):
    """Skeleton2vec: 600 of 800 epochs; here 3 of 4, of 5 iterations."""
    spy = Rates()
    Runner(
        Line(),
        str(tmp_path),
        train_dataloader=DataLoader([dict(points=torch.ones(2))] * 5),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=BASE)),
        param_scheduler=dict(
            type='WarmupCosineLR',
            warmup=1,
            total=4,
            eta_min_ratio=.01,
            convert_to_iter_based=True),
        custom_hooks=[spy],
        default_scope='mmaction',
        experiment_name=str(tmp_path)).train()
    assert spy.found == pytest.approx([
        published(epoch + (i + 1) / 5, 1, 4, BASE / 100) for epoch in range(3)
        for i in range(5)
    ], abs=1e-15)


def test_the_public_code_of_the_mae_family():
    """Recorded rates of HA-CM, whose first step has a rate of 0."""
    golden = np.load(shared_file('golden/hacm_golden.npz'))
    epochs, expected = golden['sched/epoch'], golden['sched/pretrain_lr_e400']
    factors = [warmup_cosine(epoch, 20, 400, .5) for epoch in epochs]
    np.testing.assert_allclose(BASE * np.array(factors), expected, atol=1e-12)
    length = 100
    iterations = np.rint(epochs * length).astype(int)
    np.testing.assert_allclose(iterations / length, epochs)
    optimizer, scheduler = make(
        length, warmup=20, total=400, eta_min_ratio=.5, offset=0)
    found = np.array(rates(optimizer, scheduler, iterations.max() + 1))
    np.testing.assert_allclose(found[iterations], expected, atol=1e-12)


def test_bad_settings():
    with pytest.raises(ValueError, match='of 5 cannot hold a warm-up of 5'):
        make(1, warmup=5, total=5)
    with pytest.raises(ValueError, match='remove by_epoch=False'):
        WarmupCosineLR.build_iter_from_epoch(
            warmup=1, total=5, epoch_length=1, by_epoch=False)
