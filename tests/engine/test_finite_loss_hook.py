# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A training stops at the first number that is none."""
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from skel_ssl.engine import FiniteLossHook, NonFiniteError
from tests.engine.fetches import Asked

STEPS, EPOCHS = 7, 3


class Model(BaseModel):
    """Two losses; in chosen calls the second one, or a weight, is spoiled."""

    def __init__(self, losses=None, weight_after=None):
        super().__init__()
        self.fc = nn.Linear(3, 1)
        # -inf is a sound value of a buffer
        self.register_buffer('hidden', torch.tensor(-torch.inf))
        self.losses = losses or {}
        self.weight_after = weight_after
        self.calls = 0

    def forward(self, inputs, mode='tensor'):
        self.calls += 1
        loss = self.fc(inputs).square().mean()
        second = loss.detach() * 0 + self.losses.get(self.calls, 1.)
        return dict(loss_a=loss, loss_b=second, accuracy=second * torch.nan)

    def train_step(self, data, optim_wrapper):
        done = super().train_step(data, optim_wrapper)
        if self.calls == self.weight_after:
            with torch.no_grad():
                self.fc.weight[0, 1] = torch.nan
        return done


def train(tmp_path, model, interval=3, save_every=1, by_epoch=True,
          hooks=(), **finite):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(3)) for _ in range(2 * STEPS)]
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=dict(
            batch_size=2,
            dataset=data,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=EPOCHS),
        optim_wrapper=dict(
            type='AsyncOptimWrapper', optimizer=dict(type='SGD', lr=.01)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=interval),
            deferred_scalars=dict(type='DeferredScalarsHook'),
            finite_loss=dict(type='FiniteLossHook', **finite),
            checkpoint=dict(
                type='CheckpointHook', interval=save_every,
                by_epoch=by_epoch)),
        custom_hooks=list(hooks),
        default_scope='mmaction',
        experiment_name=str(tmp_path))
    runner.train()
    return runner


def saved(tmp_path):
    return sorted(path.name for path in tmp_path.glob('*.pth'))


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_it_stops_and_names_the_first_loss(tmp_path, value):
    """In the second epoch; the first one is saved and sound."""
    model = Model({STEPS + 2: float(value), STEPS + 3: float('nan')})
    with pytest.raises(NonFiniteError) as error:
        train(tmp_path, model)
    text = str(error.value)
    # The total, 'loss', is not finite either; the accuracy is no loss.
    assert text.startswith(f"'loss' is {value}, 'loss_b' is {value} at "
                           f'iteration {STEPS + 2} (epoch 2)'), text
    assert '--resume' in text and 'learning rate' in text
    assert model.calls == STEPS + 3  # the end of the interval
    assert saved(tmp_path) == ['epoch_1.pth']


def test_losses_are_looked_at_before_a_checkpoint(tmp_path):
    """Also if it comes before the end of the interval."""
    model = Model({4: float('nan')})
    with pytest.raises(NonFiniteError, match='iteration 4 '):
        train(tmp_path, model, interval=100, save_every=2, by_epoch=False)
    assert model.calls == 4
    assert saved(tmp_path) == ['iter_2.pth']


def test_weights_are_looked_at_before_a_checkpoint(tmp_path):
    """All losses were finite; the next one would not be."""
    model = Model(weight_after=2 * STEPS)
    with pytest.raises(NonFiniteError) as error:
        train(tmp_path, model)
    assert "'fc.weight'" in str(error.value)
    assert f'after iteration {2 * STEPS} (epoch 2)' in str(error.value)
    assert saved(tmp_path) == ['epoch_1.pth']


def test_sound_runs_are_left_alone(tmp_path):
    """With a buffer and a figure that are not finite."""
    train(tmp_path, Model())
    assert saved(tmp_path) == [f'epoch_{i + 1}.pth' for i in range(EPOCHS)]


def test_the_device_is_asked_once_per_interval(tmp_path, monkeypatch):
    asked = Asked(monkeypatch)
    train(tmp_path, Model(), interval=3, save_every=-1, hooks=[asked])
    # By this hook and DeferredScalarsHook, after 3, 6 and 7 of each epoch.
    assert asked.at_iterations == [0, 0, 2, 2, 2, 4, 6] * EPOCHS


def test_wrong_interval():
    with pytest.raises(ValueError, match='interval=0'):
        FiniteLossHook(interval=0)
