# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A model of three numbers and a Runner that trains it in an instant."""
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class Line(BaseModel):
    """The smallest model that a Runner trains."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, points, mode='loss'):
        return dict(loss=self.layer(points).square().mean())


def make_runner(work_dir: Path, epochs: int, **kwargs) -> Runner:
    """A Runner whose checkpoints hold all that a checkpoint can hold."""
    points = [dict(points=torch.ones(2) * i) for i in range(4)]
    kwargs.setdefault('custom_hooks', [dict(type='EMAHook')])
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(points, batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(
            type='OneCycleLR', eta_max=0.1, total_steps=9, by_epoch=False),
        experiment_name=work_dir.name,
        **kwargs)
