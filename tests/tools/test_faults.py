# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Runs that go wrong, as a user sees them: one line, and nothing lost.

``tools/hardening/inject_faults.py`` has more faults, and more kills.
"""
import importlib
import re
import signal

import pytest
import torch

from skel_ssl.utils.checkpoint_files import find_latest_checkpoint, is_whole
from tests.tools.conftest import (
    PRETRAIN,
    ROOT,
    TINY_PRETRAIN,
    load_weights,
    training_log,
)

EPOCHS, EPOCH_LENGTH = 3, 4  # 16 clips in batches of 4
OPTIONS = (*TINY_PRETRAIN, 'param_scheduler.warmup=1')
IN_LAST_EPOCH = 2 * EPOCH_LENGTH + 2
CONFIG = f'''
_base_ = {str(ROOT / PRETRAIN)!r}
custom_imports = dict(
    imports=['skel_ssl', 'hardening.faults.sabotage'],
    allow_failed_imports=False)
custom_hooks = [_base_.custom_hooks[0]]
'''


@pytest.fixture
def lab(monkeypatch):
    """The module of the script that judges runs."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    return importlib.import_module('hardening.faults.lab')


@pytest.fixture
def fail(run_tool, tmp_path):
    """Train with a fault; the line of error, and the work dir."""

    def fail(more, *options):
        config = tmp_path / 'faulty.py'
        config.write_text(CONFIG + more)
        work_dir = tmp_path / 'run'
        done = run_tool('tools/train.py', config, '--work-dir', work_dir,
                        '--cfg-options', *OPTIONS,
                        f'train_cfg.max_epochs={EPOCHS}', *options, code=1)
        assert 'Traceback' not in done.stderr
        line, = re.findall('^error: (.*)', done.stderr, re.M)
        return line, work_dir

    return fail


def check_saved(work_dir, epoch):
    """What a resume would pick up; and all that is there is whole."""
    found = find_latest_checkpoint(str(work_dir))
    assert found == str(work_dir / f'epoch_{epoch}.pth')
    assert all(is_whole(path) for path in work_dir.glob('epoch_*.pth'))
    for name, value in load_weights(found).items():
        assert value.isfinite().all(), name


def test_a_loss_that_is_nan(fail):
    line, work_dir = fail(
        "custom_hooks += [dict(type='PoisonHook', "
        f'at={IN_LAST_EPOCH})]')
    assert line.startswith(f"'loss' is nan at iteration {IN_LAST_EPOCH} "
                           '(epoch 3)')
    check_saved(work_dir, 2)


def test_a_worker_that_is_killed(fail):
    line, work_dir = fail(
        "custom_hooks += [dict(type='KillWorkerHook', "
        f'at={IN_LAST_EPOCH})]', 'train_dataloader.num_workers=1',
        'train_dataloader.persistent_workers=True')
    # Which it is depends on who sees it first.
    assert re.match(
        r'DataLoader worker \(pid \d+\) is killed by signal|'
        r'DataLoader worker \(pid\(s\) \d+\) exited unexpectedly|'
        r'a DataLoader worker has ended \(', line)
    assert 'If nobody killed it, memory has run out' in line
    assert '--resume' in line
    check_saved(work_dir, 2)


def test_a_clip_that_is_damaged(fail, skel_data):
    """The worker's traceback is not shown; the clip is named."""
    line, _ = fail(
        '_base_.train_dataloader.dataset.pipeline.insert('
        "0, dict(type='SpoilClip', name='clip07', how='nan'))",
        'train_dataloader.num_workers=1')
    assert line.startswith("clip 'clip07' (number 7, split='xsub_train') of "
                           f"'{skel_data / 'demo_3d.pkl'}'")


def test_a_file_that_may_not_grow(run_tool, tmp_path):
    """As on a full disk, the checkpoint is cut off in the middle."""
    limit = '''
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name='__main__')
'''
    done = run_tool('-c', limit, 'tools/train.py', PRETRAIN, '--work-dir',
                    tmp_path, '--cfg-options', *OPTIONS,
                    'train_cfg.max_epochs=1', code=1)
    line, = re.findall('^error: (.*)', done.stderr, re.M)
    assert f"File too large: '{tmp_path / 'epoch_1.pth'}'" in line
    assert 'Traceback' not in done.stderr and '--resume' in line
    assert max(training_log(tmp_path)) == EPOCH_LENGTH
    assert [path.name for path in tmp_path.iterdir()
            if path.is_file()] == ['skel2vec_demo.py']


def test_a_kill_while_a_checkpoint_is_written(run_tool, tmp_path):
    """Half a file is left, which nobody takes for a checkpoint."""
    straight, work_dir = tmp_path / 'straight', tmp_path / 'killed'
    config, faulty = tmp_path / 'sound.py', tmp_path / 'faulty.py'
    config.write_text(CONFIG)
    faulty.write_text(CONFIG + 'custom_hooks += [dict('
                      f"type='KillWhileWritingHook', at={IN_LAST_EPOCH})]")
    options = ['--cfg-options', *OPTIONS, f'train_cfg.max_epochs={EPOCHS}',
               'default_hooks.checkpoint.max_keep_ckpts=1']
    run_tool('tools/train.py', config, '--work-dir', straight, *options)
    run_tool('tools/train.py', faulty, '--work-dir', work_dir, *options,
             code=-signal.SIGKILL)
    half, = work_dir.glob('.*.epoch_3.pth')
    assert half.stat().st_size > 0 and not is_whole(half)
    check_saved(work_dir, 2)
    run_tool('tools/train.py', config, '--work-dir', work_dir, '--resume',
             *options)
    assert sorted(path.name for path in work_dir.rglob('*.pth')) == [
        'epoch_3.pth']
    weights, expected = (
        load_weights(folder / 'epoch_3.pth')
        for folder in (work_dir, straight))
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        assert torch.equal(value, expected[name]), name
    log, whole = training_log(work_dir), training_log(straight)
    assert list(log) == list(range(2 * EPOCH_LENGTH + 1,
                                   EPOCHS * EPOCH_LENGTH + 1))
    assert all(log[i]['loss'] == whole[i]['loss'] for i in log)


def test_the_script(run_tool, tmp_path):
    done = run_tool('tools/hardening/inject_faults.py', '--only', 'cut-store',
                    '--keep', tmp_path / 'runs', COLUMNS='300')
    assert 'cut-store: handled' in done.stdout
    assert re.search(r"error: the store '.*cut.store' is not whole",
                     done.stdout)
    assert (tmp_path / 'runs' / 'cut.store').is_dir()


@pytest.mark.parametrize('status, errors, reason', [
    (0, 'error: it is full', 'ended with status 0'),
    (-9, 'error: it is full', 'ended with status -9'),
    (1, 'Traceback\nerror: it is full', 'a traceback'),
    (1, 'nothing', '0 lines'),
    (1, 'error: something else', '0 lines'),
    (1, 'error: it is full\nerror: it is full', '2 lines'),
])
def test_the_script_is_strict_about_what_a_user_sees(
        lab, status, errors, reason):
    with pytest.raises(lab.NotHandled, match=reason):
        lab.Ended(status, errors, 0).one_line('is full')
    ended = lab.Ended(1, 'warning\nerror: it is full\n', 0)
    assert ended.one_line('is full') == 'error: it is full'


def write_run(folder, losses, weight=1.):
    (folder / '1' / 'vis_data').mkdir(parents=True)
    (folder / '1' / 'vis_data' / 'scalars.json').write_text(''.join(
        f'{{"iter": {i}, "loss": {loss}}}\n' for i, loss in losses))
    torch.save(dict(state_dict=dict(a=torch.tensor(weight)),
                    optimizer=dict(state={0: [torch.ones(2)]})),
               folder / 'epoch_1.pth')
    return folder


@pytest.mark.parametrize('losses, weight, reason', [
    ([(1, .5), (2, .25)], 1., None),
    ([(1, .5), (2, 'NaN'), (2, .25)], 1., None),
    ([(1, .5), (2, .25)], 1. + 2**-23, 'state_dict differs'),
    ([(1, .5)], 1., 'iterations are missing'),
    ([(1, .5), (2, .26)], 1., r'iteration \[2\] differs'),
    ([(1, .5), (2, .26), (2, .25)], 1., 'iteration 2 was 0.26, and 0.25'),
])
def test_the_script_compares_exactly(lab, tmp_path, losses, weight, reason):
    straight = write_run(tmp_path / 'straight', [(1, .5), (2, .25)])
    other = write_run(tmp_path / 'other', losses, weight)
    if reason is None:
        lab.compare_runs(other, straight, 1)
        return
    with pytest.raises(lab.NotHandled, match=reason):
        lab.compare_runs(other, straight, 1)
