# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Moves the teacher after the optimizer step."""
from functools import wraps
from typing import Any, Callable, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from skel_ssl.models.ops.ema import annealed_decay
from skel_ssl.registry import HOOKS


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Update the EMA teacher once per optimizer step.

    The decay is annealed linearly (Skeleton2vec, section 3.2) from
    ``start_decay`` to ``end_decay`` over ``anneal_epochs`` of the training
    set, whatever the number of epochs that are trained. Iterations that only
    accumulate gradients, and steps that a gradient scaler skips, do not move
    the teacher. The counter lives in the teacher and thus in the checkpoint:
    a resumed run continues the schedule. One that begins with ``load_from``
    has a schedule of its own, and the teacher of the checkpoint if it has
    one.

    Args:
        start_decay (float): Decay of the first update.
        end_decay (float): Decay at the end of the schedule; 1 freezes the
            teacher.
        anneal_epochs (float, optional): Length of the schedule in epochs of
            the data loader.
        anneal_steps (int, optional): Length in optimizer steps instead.

    Raises:
        ValueError: If an argument is out of range; before training, if there
            is no teacher, or the optimizer is fused behind a gradient scaler.
    """

    def __init__(self,
                 start_decay: float = 0.9999,
                 end_decay: float = 1.0,
                 anneal_epochs: Optional[float] = None,
                 anneal_steps: Optional[int] = None) -> None:
        if (anneal_epochs is None) == (anneal_steps is None):
            raise ValueError('give the length of the schedule as either '
                             'anneal_epochs or anneal_steps')
        for name, decay in (('start_decay', start_decay), ('end_decay',
                                                           end_decay)):
            if not 0 <= decay <= 1:
                raise ValueError(f'{name}={decay} is not between 0 and 1')
        self.start_decay = start_decay
        self.end_decay = end_decay
        self.anneal_epochs = anneal_epochs
        self.anneal_steps: float = anneal_steps or 0  # or from the epochs
        self._stepped = False

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        self.student = model.backbone
        self.teacher = model.teacher
        if self.teacher is None:
            raise ValueError(
                f'{type(model.target).__name__} has no teacher to move: '
                'remove EMATeacherHook from custom_hooks')
        if not self.teacher.has_weights:
            # Also covers a student that came in through `load_from`.
            self.teacher.copy_from(self.student)
        if runner.iter == 0:
            # A teacher from `load_from` brings the count of its own run.
            self.teacher.restart()
        wrapper = runner.optim_wrapper
        if self.anneal_epochs is not None:
            per_step = getattr(wrapper, '_accumulative_counts', 1)
            self.anneal_steps = (
                self.anneal_epochs * len(runner.train_dataloader) / per_step)
        self._optimizer = wrapper.optimizer
        scaler = getattr(wrapper, 'loss_scaler', None)
        if scaler is not None and scaler.is_enabled() and any(
                group.get('fused') for group in self._optimizer.param_groups):
            raise ValueError(
                'a fused optimizer hides the steps that a gradient scaler '
                'skips, and the teacher would move in them: take fused=True '
                'out of the optimizer, or train in bfloat16 without scaling')
        self._step = self._optimizer.step
        self._optimizer.step = self._noticing(self._step)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if not self._stepped:
            return
        self._stepped = False
        decay = annealed_decay(self.teacher.num_updates, self.start_decay,
                               self.end_decay, self.anneal_steps)
        self.teacher.update_parameters(self.student, decay)
        runner.message_hub.update_scalar('train/ema_decay', decay)

    def after_train(self, runner: Runner) -> None:
        self._optimizer.step = self._step

    def _noticing(self, step: Callable) -> Callable:
        """Notice real steps, which no counter of iterations knows.

        Torch has hooks for that, but once torch 2.1 has compiled anything,
        those of a kind of optimizer that is new to it are never called.
        """

        @wraps(step)
        def noticed(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            self._stepped = True
            return result

        return noticed
