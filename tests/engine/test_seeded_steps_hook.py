# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a model draws depends on seed, iteration and rank alone."""
from types import SimpleNamespace

import torch

from skel_ssl.engine.hooks import SeededStepsHook, seeded_steps_hook


def draw(iteration, seed=0):
    """What a model would draw in a step, whatever was drawn before."""
    torch.rand(iteration + 3)
    runner = SimpleNamespace(seed=seed, iter=iteration)
    SeededStepsHook().before_train_iter(runner, batch_idx=0)
    return torch.rand(4).tolist()


def test_a_step_draws_the_same_again():
    steps = [draw(i) for i in range(3)]
    assert [draw(i) for i in (2, 0, 1)] == [steps[i] for i in (2, 0, 1)]


def test_steps_seeds_and_ranks_draw_differently(monkeypatch):
    drawn = [draw(0), draw(1), draw(0, seed=1)]
    monkeypatch.setattr(seeded_steps_hook, 'get_rank', lambda: 1)
    drawn += [draw(0), draw(1)]
    assert len({x[0] for x in drawn}) == 5
