# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Who asks the device for a number, and when."""
from mmengine.hooks import Hook
from torch import Tensor


class Asked(Hook):
    """Counts how often a tensor was fetched until an iteration ended."""
    priority = 'LOWEST'

    def __init__(self, monkeypatch):
        self.now, self.at_iterations = 0, []
        for name in ('item', 'tolist', '__float__', '__bool__', 'numpy'):
            self.spy(monkeypatch, name)

    def spy(self, monkeypatch, name):
        call = getattr(Tensor, name)

        def counted(tensor, *args, **kwargs):
            self.now += 1
            return call(tensor, *args, **kwargs)

        monkeypatch.setattr(Tensor, name, counted)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:  # the loader has asked, too
            self.now = 0

    def after_train_iter(self, runner, *args, **kwargs):
        self.at_iterations.append(self.now)
