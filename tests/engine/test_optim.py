# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parameter groups without noise, and autocast without a scaler."""
import logging
import re

import pytest
import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper, default_constructor
from mmengine.registry import init_default_scope
from packaging.version import Version
from torch import nn

import skel_ssl  # noqa: F401  registers everything

# There is such a kernel for a CPU from torch 2.4 on.
FUSED = True if Version(torch.__version__) >= Version('2.4') else None
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
    assert sorted(found) == sorted(expected)
    assert {name for name, _, _ in found} == {
        name
        for name, param in model.named_parameters() if param.requires_grad
    }
    settings = {name: values for name, *values in found}
    assert settings['embed.weight'] == [5e-4, .05]
    assert settings['mixed.1.weight'] == [1e-3, .05]
    assert settings['scale'] == settings['trained.1.weight'] == [1e-3, 0.]


def test_parameters_with_the_same_settings_are_one_group():
    init_default_scope('mmaction')
    model = Model()
    optimizer = build_optim_wrapper(
        model,
        dict(
            constructor='TrainableParamsConstructor',
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
            paramwise_cfg=PARAMWISE)).optimizer
    settings = [(g['lr'], g['weight_decay']) for g in optimizer.param_groups]
    assert len(set(settings)) == len(settings) == 3
    # Half the rate is that of `embed` alone: its own setting beats the rules.
    half = next(g for g in optimizer.param_groups if g['lr'] == 5e-4)
    assert half['params'] == [model.embed.weight, model.embed.bias]


class Encoder(nn.Module):
    """Knows its layers: an embedding, two blocks, and what comes after."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.norm = nn.LayerNorm(4)

    def get_layer_depth(self, name, prefix=''):
        rest = name.removeprefix(prefix)
        if rest == name:
            return 3, 4
        layers = {'embed': 0, 'blocks.0': 1, 'blocks.1': 2, 'norm': 3}
        return next(v for k, v in layers.items() if rest.startswith(k)), 4


class Recognizer(nn.Module):

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.cls_head = nn.Linear(4, 2)


def decayed(model, **paramwise):
    """Rate, scale and weight decay of each parameter."""
    init_default_scope('mmaction')
    optimizer = build_optim_wrapper(
        model,
        dict(
            constructor='LayerDecayConstructor',
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
            paramwise_cfg=paramwise)).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: (g['lr'], g['lr_scale'], g['weight_decay'])
        for g in optimizer.param_groups for p in g['params']
    }


@pytest.mark.parametrize('kind, given, fused', [
    ('AdamW', {}, FUSED),
    ('Adam', {}, FUSED),
    ('AdamW', dict(fused=False), False),
    ('AdamW', dict(foreach=True), None),
    ('SGD', {}, None),
])
def test_adam_is_fused_unless_told_otherwise(kind, given, fused):
    model = torch.nn.Linear(3, 3)
    settings = dict(type=kind, lr=.1, **given)
    wrapper = build_optim_wrapper(
        model,
        dict(constructor='TrainableParamsConstructor', optimizer=settings))
    assert wrapper.optimizer.defaults.get('fused') == fused
    assert settings == dict(type=kind, lr=.1, **given)


@pytest.mark.parametrize('kind', [
    'AmpOptimWrapper', 'mmengine.AmpOptimWrapper',
    amp_optimizer_wrapper.AmpOptimWrapper])
def test_adam_is_not_fused_with_a_gradient_scaler(monkeypatch, kind):
    """A fused kernel skips a step by itself, after hooks have been told."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available',
                        lambda: True)
    wrapper = build_optim_wrapper(
        torch.nn.Linear(3, 3),
        dict(
            type=kind,
            constructor='TrainableParamsConstructor',
            optimizer=dict(type='AdamW', lr=.1)))
    assert wrapper.optimizer.defaults['fused'] is None


def test_fused_steps_are_those_of_a_loop():
    found = []
    for given in ({}, dict(fused=False, foreach=False)):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
        wrapper = build_optim_wrapper(
            model,
            dict(
                constructor='TrainableParamsConstructor',
                optimizer=dict(type='AdamW', lr=.01, **given)))
        for _ in range(5):
            wrapper.update_params(model(torch.randn(4, 8)).square().mean())
        found.append(torch.cat([p.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)


def test_layers_near_the_input_learn_slowly():
    found = decayed(
        Recognizer(Encoder()), layer_decay_rate=.5, norm_decay_mult=0.)
    scales = {
        'backbone.embed': .125,
        'backbone.blocks.0': .25,
        'backbone.blocks.1': .5,
        'backbone.norm': 1.,
        'cls_head': 1.,
    }
    assert found == {
        f'{name}.{kind}': pytest.approx(
            (1e-3 * scale, scale, 0. if name == 'backbone.norm' else .05))
        for name, scale in scales.items() for kind in ('weight', 'bias')
    }


def test_a_layer_can_be_counted_elsewhere():
    found = decayed(
        Recognizer(Encoder()),
        layer_decay_rate=.5,
        layer_of={'backbone.norm': -2})
    assert found['backbone.norm.weight'][1] == .5
    assert found['backbone.blocks.1.weight'][1] == .5


def test_layer_decay_multiplies_other_rates():
    found = decayed(
        Recognizer(Encoder()),
        layer_decay_rate=.5,
        custom_keys={'embed': dict(lr_mult=2.)})
    assert found['backbone.embed.bias'][:2] == pytest.approx((2.5e-4, .125))


@pytest.mark.parametrize('paramwise, message', [
    (dict(), 'needs paramwise_cfg=dict(layer_decay_rate='),
    (dict(layer_decay_rate=0), 'layer_decay_rate=0 must be'),
    (dict(layer_decay_rate=8), 'layer_decay_rate=8 must be'),
    (dict(layer_decay_rate=.8, layer_of={'encoder_norm': -2}),
     "no parameter begins with 'encoder_norm'"),
])
def test_bad_layer_decay(paramwise, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        decayed(Recognizer(Encoder()), **paramwise)


def test_a_backbone_that_does_not_know_its_layers():
    with pytest.raises(AttributeError, match='Linear has no get_layer_depth'):
        decayed(Recognizer(nn.Linear(4, 4)), layer_decay_rate=.8)


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
