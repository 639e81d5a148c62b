# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The parts of the quickstart that are its own; all of it takes minutes."""
import json
import subprocess
import sys

import pytest

from tests.tools.conftest import ROOT

# In an interpreter of its own: what other tests set up must not help.
CODE = '''
import sys
from pathlib import Path

sys.path.insert(0, 'tools')
import quickstart

work_dir = Path(sys.argv[1])
for path in quickstart.draw_pictures(work_dir):
    assert path.read_bytes().startswith(b'\\x89PNG'), path
step = quickstart.Step('training', work_dir / 'pretrain', [], 9)
print(step.epochs_done())
try:
    quickstart.run(step._replace(arguments=['-c', 'print(6 * 7); 1 / 0']))
except SystemExit as error:
    assert error.code == 1
'''


def write(path, *records):
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, records)))


@pytest.fixture
def output(skel_data, tmp_path, monkeypatch):
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    steps = [dict(lr=.1, loss=1. / i, step=i, epoch=i) for i in range(1, 4)]
    write(tmp_path / 'pretrain/run/vis_data/scalars.json', *steps)
    done = subprocess.run([sys.executable, '-c', CODE, str(tmp_path)],
                          cwd=ROOT,
                          capture_output=True,
                          text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_its_own_parts(output):
    start = output.index('3')  # after the logs
    failure = output[start + 1:]
    # A step that fails shows the end of its log.
    text = '\n'.join(failure)
    assert 'training failed' in text
    assert '42' in failure and 'ZeroDivisionError' in text


def test_the_evaluation(skel_data, tmp_path, monkeypatch):
    """What it calls is there, and a failure is not passed over."""
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    code = ('import sys; from pathlib import Path; '
            "sys.path.insert(0, 'tools'); import quickstart; "
            "quickstart.evaluate(Path('none.pth'), Path(sys.argv[1]))")
    done = subprocess.run([sys.executable, '-c', code,
                           str(tmp_path)],
                          cwd=ROOT,
                          capture_output=True,
                          text=True,
                          timeout=300)
    assert done.returncode == 1
    assert 'there is no checkpoint none.pth' in done.stderr
