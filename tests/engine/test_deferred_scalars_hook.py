# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The log is the same, and the device is asked once per interval."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from skel_ssl.engine import DeferredScalarsHook
from skel_ssl.engine.hooks.deferred_scalars_hook import logging_interval
from tests.engine.fetches import Asked

STEPS, EPOCHS = 7, 3
DEFERRED = dict(deferred_scalars=dict(type='DeferredScalarsHook'))


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.fc(inputs).square().mean())


def train(tmp_path, monkeypatch, hook, interval=3, by_epoch=True,
          save_every=1):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(3)) for _ in range(2 * STEPS)]
    asked = Asked(monkeypatch)
    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=dict(
            batch_size=2,
            dataset=data,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=EPOCHS),
        optim_wrapper=dict(
            type='AsyncOptimWrapper',
            optimizer=dict(type='SGD', lr=.01),
            clip_grad=dict(max_norm=1.)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=interval),
            checkpoint=dict(
                type='CheckpointHook', interval=save_every, by_epoch=by_epoch),
            **hook),
        custom_hooks=[asked],
        default_scope='mmaction',
        experiment_name=str(tmp_path))
    runner.train()
    scalars = {
        name: list(buffer.data[0])
        for name, buffer in runner.message_hub.log_scalars.items()
        if 'time' not in name
    }
    return runner, scalars, asked.at_iterations


def test_the_log_is_the_same(tmp_path, monkeypatch):
    plain, deferred = (
        train(tmp_path / name, monkeypatch, hook)[1]
        for name, hook in (('plain', {}), ('deferred', DEFERRED)))
    assert {'train/loss', 'train/grad_norm', 'train/lr'} <= set(plain)
    assert len(plain['train/loss']) == STEPS * EPOCHS
    assert deferred.keys() == plain.keys()
    for name, values in plain.items():
        assert deferred[name] == pytest.approx(values, rel=1e-6), name


def test_the_device_is_asked_once_per_interval(tmp_path, monkeypatch):
    _, _, asked = train(tmp_path, monkeypatch, DEFERRED)
    # Logged after iterations 3, 6 and 7 of each epoch.
    assert asked == [0, 0, 1, 1, 1, 2, 3] * EPOCHS


def test_without_it_every_iteration_asks(tmp_path, monkeypatch):
    _, _, asked = train(tmp_path, monkeypatch, {})
    assert asked == [2 * i for i in range(1, STEPS + 1)] * EPOCHS


def test_a_checkpoint_has_what_was_not_logged_yet(tmp_path, monkeypatch):
    runner, _, _ = train(
        tmp_path,
        monkeypatch,
        DEFERRED,
        interval=100,
        by_epoch=False,
        save_every=4)
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=False)
    history = saved['message_hub']['log_scalars']['train/loss'].data[0]
    assert len(history) == 4
    # The hub is as it was.
    assert 'update_scalar' not in vars(runner.message_hub)


def test_wrong_interval(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='interval=0'):
        DeferredScalarsHook(interval=0)
    hook = dict(deferred_scalars=dict(type='DeferredScalarsHook', interval=2))
    with pytest.raises(ValueError, match=r'\(interval=2\) .* interval=3: '):
        train(tmp_path, monkeypatch, hook, interval=3)


def test_several_logs():
    hooks = [LoggerHook(interval=n) for n in (4, 6)]
    assert logging_interval(SimpleNamespace(hooks=hooks)) == 2
    assert logging_interval(SimpleNamespace(hooks=[])) == 1
