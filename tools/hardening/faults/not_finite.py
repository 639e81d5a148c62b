# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Losses and weights that are no numbers."""
from .lab import (
    EPOCH,
    EPOCHS,
    IN_LAST_EPOCH,
    Ended,
    Lab,
    Outcome,
    require,
    saved,
)


def _poisoned(lab: Lab, name: str, hook: str, ranks: int = 1) -> Ended:
    config = lab.config(name,
                        f"custom_hooks += [dict(type='PoisonHook', {hook})]\n")
    work_dir = lab.folder / name
    ended = lab.train(config, work_dir, ranks=ranks)
    epoch = saved(work_dir)
    require(epoch == EPOCHS - 1, f'{epoch} epochs are saved')
    return ended


def _poison(lab: Lab, name: str, hook: str, pattern: str) -> Outcome:
    line = _poisoned(lab, name, hook).one_line(pattern)
    lab.check_resume(lab.folder / name)
    return Outcome('it stopped, and without the fault the resumed run ended '
                   'like one that never had it', line)


def nan_loss(lab: Lab) -> Outcome:
    """A loss is NaN."""
    return _poison(lab, 'nan_loss', f'at={IN_LAST_EPOCH}',
                   f"'loss' is nan at iteration {IN_LAST_EPOCH} .*--resume")


def nan_weights(lab: Lab) -> Outcome:
    """Weights are NaN after a finite loss, and would be saved next."""
    return _poison(
        lab, 'nan_weights', f'at={EPOCHS * EPOCH}, after=True',
        f'NaN or infinite after iteration {EPOCHS * EPOCH} .*--resume')


def nan_loss_on_a_rank(lab: Lab) -> Outcome:
    """A loss is NaN on one of two ranks."""
    at = (EPOCHS - 1) * EPOCH // 2 + 1  # a rank has half the iterations
    ended = _poisoned(lab, 'nan_rank', f'at={at}, rank=1', ranks=2)
    ended.one_line(r'rank \d .*ended with exit status 1')
    line = ended.one_line(f'rank 1: .*is nan at iteration {at} ')
    return Outcome(f'both ranks and the launcher ended, {ended.seconds:.0f} s '
                   'after its start', line)
