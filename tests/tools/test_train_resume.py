# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A run that is cut off and resumed is the run that was not cut off."""
import pytest
import torch

from tests.tools.conftest import (
    PRETRAIN,
    ROOT,
    TINY_PRETRAIN,
    load_weights,
    training_log,
)

EPOCHS, EPOCH_LENGTH = 5, 4  # 16 clips in batches of 4
LAST_SAVED = 2 * EPOCH_LENGTH
CUT_AT = LAST_SAVED + 3
OPTIONS = (*TINY_PRETRAIN, f'train_cfg.max_epochs={EPOCHS}',
           'param_scheduler.warmup=1')

POWER_CUT = f'''
import os
import signal

from mmengine.hooks import Hook

from skel_ssl.registry import HOOKS


@HOOKS.register_module()
class PowerCut(Hook):
    priority = 'LOWEST'  # after the log of the iteration

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == {CUT_AT}:
            os.kill(os.getpid(), signal.SIGKILL)
'''
CUT_CONFIG = f'''
_base_ = {str(ROOT / PRETRAIN)!r}
custom_imports = dict(imports=['skel_ssl', 'power_cut'])
custom_hooks = [*_base_.custom_hooks, dict(type='PowerCut')]
'''


@pytest.fixture(scope='module')
def straight(run_tool, tmp_path_factory):
    """An uninterrupted run."""
    work_dir = tmp_path_factory.mktemp('straight')
    run_tool('tools/train.py', PRETRAIN, '--work-dir', work_dir,
             '--cfg-options', *OPTIONS)
    return work_dir


@pytest.fixture(scope='module')
def resumed(run_tool, tmp_path_factory):
    """The same, killed in the third epoch and resumed."""
    work_dir = tmp_path_factory.mktemp('resumed')
    (work_dir / 'power_cut.py').write_text(POWER_CUT)
    config = work_dir / 'with_power_cut.py'
    config.write_text(CUT_CONFIG)
    run_tool(
        'tools/train.py',
        config,
        '--work-dir',
        work_dir,
        '--cfg-options',
        *OPTIONS,
        code=-9,
        PYTHONPATH=str(work_dir))
    assert max(training_log(work_dir)) == CUT_AT
    assert not (work_dir / 'epoch_3.pth').exists()
    run_tool('tools/train.py', PRETRAIN, '--work-dir', work_dir, '--resume',
             '--cfg-options', *OPTIONS)
    return work_dir


def test_every_iteration_after_the_resume_is_the_same(straight, resumed):
    expected, log = training_log(straight), training_log(resumed)
    assert list(log) == list(range(LAST_SAVED + 1, EPOCHS * EPOCH_LENGTH + 1))
    for key in ('loss', 'grad_norm', 'lr', 'ema_decay'):
        ours = [record[key] for record in log.values()]
        theirs = [expected[i][key] for i in log]
        assert ours == pytest.approx(theirs, rel=0, abs=1e-6), key
    # The comparison would be empty if these did not move.
    for key in ('loss', 'lr', 'ema_decay'):
        assert len({record[key] for record in log.values()}) == len(log), key


def test_the_result_is_the_same(straight, resumed):
    file = f'epoch_{EPOCHS}.pth'
    expected = load_weights(straight / file)
    weights = load_weights(resumed / file)
    assert weights['target.teacher.steps'] == EPOCHS * EPOCH_LENGTH
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(
            value, expected[name], rtol=0, atol=1e-6, msg=name)
    at_the_cut = load_weights(resumed / 'epoch_2.pth')
    for name in ('backbone.norm.weight', 'target.teacher.module.norm.weight'):
        assert (weights[name] - at_the_cut[name]).abs().max() > 1e-5


def test_workers_do_not_change_the_samples(straight, run_tool, tmp_path):
    run_tool('tools/train.py', PRETRAIN, '--work-dir', tmp_path,
             '--cfg-options', *OPTIONS, 'train_cfg.max_epochs=2',
             'train_dataloader.num_workers=2',
             'train_dataloader.persistent_workers=True')
    expected, log = training_log(straight), training_log(tmp_path)
    assert list(log) == list(range(1, 2 * EPOCH_LENGTH + 1))
    assert [r['loss'] for r in log.values()] == pytest.approx(
        [expected[i]['loss'] for i in log], rel=0, abs=1e-6)
