# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What grows is seen, and what only wobbles is not."""
import json
import sys

import pytest

from tests.tools.conftest import PRETRAIN, ROOT, TINY_PRETRAIN
from tools.hardening import soak

STEPS = list(range(10, 210, 10))
OPTIONS = ('--steps', '50', '--every', '2', '--workers', '0',
           '--cfg-options', *TINY_PRETRAIN)

LEAK = '''
from mmengine.hooks import Hook

from skel_ssl.registry import HOOKS


@HOOKS.register_module()
class LeakyHook(Hook):
    kept = []

    def after_train_iter(self, *args, **kwargs):
        self.kept.append((bytearray(b'x' * 4 * 2**20), open(__file__)))
'''
CONFIG = f'''
_base_ = {str(ROOT / PRETRAIN)!r}
custom_imports = dict(imports=['skel_ssl', 'leak'])
custom_hooks = [*_base_.custom_hooks, dict(type='LeakyHook')]
'''


def test_a_straight_line_is_measured():
    """It rises by 2 a step: by 180 from the sample at 110 to that at 200."""
    line = soak.trend(STEPS, [100. + 2 * step for step in STEPS])
    assert line == pytest.approx(
        dict(first=120, last=500, rise=180, share=180 / 320))


def test_what_settled_in_the_first_half_is_flat():
    values = [100. + 5 * min(step, 100) for step in STEPS]
    assert soak.trend(STEPS, values) == pytest.approx(
        dict(first=150, last=600, rise=0, share=0), abs=1e-9)


@pytest.mark.parametrize('name, per_sample, grows', [
    ('memory, MiB', 1.1, False),
    ('memory, MiB', 2.3, True),
    ('memory, MiB', -9, False),
    ('file handles', .1, False),
    ('file handles', .12, True),
    ('threads', .12, True),
])
def test_the_limits(name, per_sample, grows):
    """Nine intervals: 2 % of 1000 is 20, and a count may not rise by one."""
    values = [1000. + per_sample * (i - 10) for i in range(20)]
    assert soak.judge(STEPS, {name: values}, .02)[name]['grows'] is grows


def test_nothing_at_all_is_flat():
    found = soak.judge(STEPS, {'memory of the workers, MiB': [0.] * 20}, .02)
    assert not found['memory of the workers, MiB']['grows']


def test_too_few_samples_are_refused(monkeypatch, capsys):
    for steps, every in ((7, 1), (100, 20)):
        monkeypatch.setattr(sys, 'argv', [
            'soak.py', PRETRAIN, '--steps', str(steps), '--every', str(every)
        ])
        with pytest.raises(SystemExit):
            soak.parse_args()
        assert f'{steps} steps' in capsys.readouterr().err


def test_a_clean_run_is_flat(run_tool, tmp_path):
    out = tmp_path / 'soak.json'
    work_dir = tmp_path / 'work_dir'
    run_tool('tools/hardening/soak.py', PRETRAIN, '--out', out, '--work-dir',
             work_dir, *OPTIONS)
    record = json.loads(out.read_text())
    assert record['steps'] == list(range(2, 53, 2))  # 13 epochs of 4 steps
    assert not any(line['grows'] for line in record['trends'].values())
    assert min(record['samples']['memory, MiB']) > 50
    assert (work_dir / 'epoch_13.pth').exists()


def test_a_leak_is_found(run_tool, tmp_path):
    (tmp_path / 'leak.py').write_text(LEAK)
    config = tmp_path / 'leaky.py'
    config.write_text(CONFIG)
    out = tmp_path / 'soak.json'
    done = run_tool(
        'tools/hardening/soak.py',
        config,
        '--out',
        out,
        *OPTIONS,
        code=1,
        PYTHONPATH=str(tmp_path))
    trends = json.loads(out.read_text())['trends']
    growing = {name for name, line in trends.items() if line['grows']}
    assert growing == {'memory, MiB', 'file handles'}
    # Samples at 28 to 52, a handle and 4 MiB in each of the 24 steps between.
    assert trends['file handles']['rise'] == pytest.approx(24, abs=.5)
    assert trends['memory, MiB']['rise'] == pytest.approx(96, abs=10)
    assert 'growing: memory, MiB, file handles' in done.stdout
