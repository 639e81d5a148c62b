# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Hooks that count epochs need a loop that has them."""
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner


def check_epochs(hook: Hook, runner: Runner) -> None:
    """Refuse to count the epochs of a loop that has none.

    Its one "epoch" is the whole training, so a hook would never act, or once
    at the end.

    Raises:
        ValueError: If the training counts iterations.
    """
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        name = type(hook).__name__
        raise ValueError(
            f'{name} counts epochs, and IterBasedTrainLoop has none: give it '
            'by_epoch=False, and an interval in iterations')
