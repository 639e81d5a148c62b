# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parameter groups without noise, and autocast without a scaler."""
import logging

import pytest
import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import default_constructor
from mmengine.registry import init_default_scope
from torch import nn

PARAMWISE = dict(
    norm_decay_mult=0.,
    bias_decay_mult=0.,
    flat_decay_mult=0.,
    custom_keys={'embed': dict(lr_mult=.5)})


class Model(nn.Module):
    """Trained parts beside, above and below frozen ones."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.embed = nn.Linear(3, 4)
        self.trained = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.teacher = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.mixed = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        self.teacher.requires_grad_(False)
        self.mixed[0].requires_grad_(False)


@pytest.fixture
def warnings(monkeypatch):
    """What the constructor warns of."""
    found = []

    def print_log(message, logger=None, level=logging.INFO):
        if level >= logging.WARNING:
            found.append(message)

    monkeypatch.setattr(default_constructor, 'print_log', print_log)
    return found


def groups(model, constructor):
    """Name, learning rate and weight decay of each group's parameter."""
    init_default_scope('mmaction')
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor=constructor,
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
            paramwise_cfg=PARAMWISE))
    names = {id(param): name for name, param in model.named_parameters()}
    return [(names[id(param)], group['lr'], group['weight_decay'])
            for group in wrapper.optimizer.param_groups
            for param in group['params']]


def test_frozen_modules_are_passed_over_silently(warnings):
    model = Model()
    expected = groups(model, 'DefaultOptimWrapperConstructor')
    assert sum('teacher' in message for message in warnings) == 4
    warnings.clear()
    found = groups(model, 'TrainableParamsConstructor')
    assert not warnings
    assert found == expected
    assert [name for name, _, _ in found] == [
        name for name, param in model.named_parameters() if param.requires_grad
    ]
    settings = {name: values for name, *values in found}
    assert settings['embed.weight'] == [5e-4, .05]
    assert settings['mixed.1.weight'] == [1e-3, .05]
    assert settings['scale'] == settings['trained.1.weight'] == [1e-3, 0.]


def autocasting(model, **kwargs):
    init_default_scope('mmaction')
    return build_optim_wrapper(
        model,
        dict(
            type='AutocastOptimWrapper',
            optimizer=dict(type='SGD', lr=1.),
            **kwargs))


def test_autocast_is_bfloat16_and_only_inside():
    model = nn.Linear(8, 8).to(get_device())
    x = torch.randn(4, 8, device=get_device())
    wrapper = autocasting(model)
    with wrapper.optim_context(model):
        assert model(x).dtype == torch.bfloat16
    assert model(x).dtype == torch.float32
    assert model.weight.dtype == torch.float32


def test_gradients_are_accumulated():
    model = nn.Linear(8, 8).to(get_device())
    x = torch.randn(4, 8, device=get_device())
    wrapper = autocasting(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    start = model.weight.detach().clone()
    for moved in (False, True, False, True):
        with wrapper.optim_context(model):
            loss = model(x).float().square().mean()
        wrapper.update_params(loss)
        assert torch.equal(model.weight, start) != moved
        start = model.weight.detach().clone()


def test_a_step_is_close_to_that_of_float32():
    x = torch.randn(4, 8, device=get_device())
    steps = []
    for make in (autocasting, lambda model: OptimWrapper(
            torch.optim.SGD(model.parameters(), lr=1.))):
        torch.manual_seed(1)
        model = nn.Linear(8, 8).to(get_device())
        start = model.weight.detach().clone()
        wrapper = make(model)
        with wrapper.optim_context(model):
            loss = model(x).float().square().sum()
        wrapper.update_params(loss)
        steps.append(model.weight.detach() - start)
    rounded, exact = steps
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < .02 * exact.norm()
