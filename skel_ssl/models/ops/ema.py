# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The moving-average teacher and its decay schedule."""
from typing import Any

import torch
from mmengine.model import BaseAveragedModel
from torch import nn


def annealed_decay(step: int, start: float, end: float,
                   anneal_steps: float) -> float:
    """Linear annealing of the EMA decay.

    Args:
        step (int): Update counter, 0 for the first update.
        start (float): Decay of the first update.
        end (float): Decay from update ``anneal_steps`` on.
        anneal_steps (float): Length of the schedule in updates.

    Returns:
        float: ``end - (end - start) * (1 - step / anneal_steps)``.
    """
    if step >= anneal_steps:
        return end
    return end - (end - start) * (1 - step / anneal_steps)


class EMATeacher(BaseAveragedModel):
    """An exponential moving average of a module's parameters, in float32.

    ``teacher <- decay * teacher + (1 - decay) * student``, all tensors in one
    fused operation. Unlike MMEngine's own average, the first update averages
    too (it does not copy), and the decay is given at each update.

    The counter ``steps`` is a buffer, so it is in the checkpoint. A mirror in
    Python spares a device sync per update.

    Args:
        model (nn.Module): The student. Copied now; :meth:`copy_from` copies
            it again after its weights were initialised.

    Attributes:
        has_weights (bool): Whether it has weights of its own, from updates
            or a checkpoint.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._num_updates = 0
        self.has_weights = False
        self.eval()

    @property
    def num_updates(self) -> int:
        """Updates since the start of the schedule."""
        return self._num_updates

    def init_weights(self) -> None:
        """Nothing: a teacher is a copy, it has no initialisation."""

    def train(self, mode: bool = True) -> 'EMATeacher':
        """A teacher is always in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def copy_from(self, model: nn.Module) -> None:
        """Make the teacher equal to the student."""
        self.module.load_state_dict(model.state_dict())

    @torch.no_grad()
    def update_parameters(self, model: nn.Module, decay: float) -> None:
        """Move towards the student by one update.

        Args:
            model (nn.Module): The student.
            decay (float): In [0, 1].
        """
        torch._foreach_lerp_(
            list(self.module.parameters()), list(model.parameters()),
            1 - decay)
        for averaged, source in zip(self.module.buffers(), model.buffers()):
            averaged.copy_(source)
        self.steps += 1
        self._num_updates += 1
        self.has_weights = True

    def restart(self) -> None:
        """Begin the schedule anew, with the weights as they are."""
        self.steps.zero_()
        self._num_updates = 0

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._num_updates = int(self.steps)
        self.has_weights |= any(
            key.startswith(f'{prefix}module.') for key in state_dict)
