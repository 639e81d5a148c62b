# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""``--amp``: which wrapper it chooses, and what it leaves in the config."""
import pytest
from mmengine.config import Config

from tools import train

SCALED = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=512.,
              clip_grad=dict(max_norm=1))


@pytest.mark.parametrize('given, dtype, made', [
    (dict(type='OptimWrapper'), 'bfloat16', dict(type='AutocastOptimWrapper')),
    (SCALED, 'bfloat16',
     dict(type='AutocastOptimWrapper', clip_grad=dict(max_norm=1))),
    (SCALED, 'float16', dict(SCALED, dtype='float16')),
    (dict(type='AsyncOptimWrapper'), 'float16',
     dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')),
])
def test_the_wrapper(given, dtype, made, monkeypatch):
    monkeypatch.setattr(train, 'is_cuda_available', lambda: True)
    cfg = Config(dict(optim_wrapper=given))
    train.set_amp(cfg, dtype)
    assert cfg.optim_wrapper.to_dict() == made


def test_another_wrapper_is_refused():
    cfg = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
    with pytest.raises(ValueError, match='ApexOptimWrapper.*AmpOptimWrapper'):
        train.set_amp(cfg, 'bfloat16')
