# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Processes that die: a worker of the data loader, a rank."""
from .lab import (
    BATCH,
    EPOCHS,
    IN_LAST_EPOCH,
    Lab,
    Outcome,
    compare_runs,
    require,
    saved,
)

# A launcher waits as long for processes that it has asked to end.
LAUNCHER_TIMEOUT = 90


def kill_worker(lab: Lab) -> Outcome:
    """A worker of the data loader is killed, as if memory had run out."""
    config = lab.config(
        'worker', f'''
train_dataloader.update(num_workers=2, persistent_workers=True)
custom_hooks += [dict(type='KillWorkerHook', at={IN_LAST_EPOCH})]
''')
    work_dir = lab.folder / 'worker'
    line = lab.train(config, work_dir).one_line('worker .*[Kk]illed')
    epoch = saved(work_dir)
    require(epoch == EPOCHS - 1, f'{epoch} epochs are saved')
    lab.check_resume(work_dir)
    return Outcome('it stopped, and the resumed run ended like one without '
                   'the fault', line)


def kill_rank(lab: Lab) -> Outcome:
    """One of two processes is killed."""
    two = f'\ntrain_dataloader.update(batch_size={BATCH // 2})\n'
    config = lab.config(
        'rank',
        two + f"custom_hooks += [dict(type='KillRankHook', "
        f'at={IN_LAST_EPOCH})]\n')
    healthy = lab.config('two_ranks', two)
    work_dir, straight = lab.folder / 'rank', lab.folder / 'two_ranks'
    lab.tell('two processes, one is killed')
    ended = lab.train(config, work_dir, ranks=2)
    line = ended.one_line(r'rank 1 .*SIGKILL.*--resume')
    require(ended.seconds < LAUNCHER_TIMEOUT,
            f'the launcher took {ended.seconds:.0f} s to end')
    epoch = saved(work_dir)
    require(epoch == EPOCHS - 1, f'{epoch} epochs are saved')
    for what, folder, more in (('without a fault', straight, ()),
                               ('resumed', work_dir, ('--resume', ))):
        lab.tell(f'two processes, {what}')
        done = lab.train(healthy, folder, *more, ranks=2)
        require(done.status == 0, f'{what}: {done.errors[-2000:]}')
    compare_runs(work_dir, straight, EPOCHS)
    return Outcome(
        f'the launcher ended {ended.seconds:.0f} s after its start, and the '
        'resumed run ended like one without the fault', line)
