# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What is found in a work dir, and what is refused."""
import json
import os

import pytest

from skel_ssl.report import find_run
from skel_ssl.report.run_files import (
    last_checkpoint,
    log_times,
    read_environment,
    read_evaluation,
    read_log,
)
from tests.report.pages import CONFIG, training, write_log

ENVIRONMENT = '''2026/11/21 12:00:43 - mmengine - INFO -
------------------------------------------------------------
System environment:
    Python: 3.11.7 (main: x)
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3
    MMEngine: 0.10.7

Runtime environment:
    seed: 5
------------------------------------------------------------

2026/11/21 12:00:44 - mmengine - INFO - Config:
    not: this
2026/11/21 12:16:20 - mmengine - INFO - Saving
'''


def test_files_of_a_resumed_run(tmp_path):
    for i, name in enumerate(('new.py', 'old.py')):
        (tmp_path / name).write_text(CONFIG)
        os.utime(tmp_path / name, (9 - i, 9 - i))
    second = write_log(tmp_path, '2_b', training(range(3, 5), loss=1.))
    first = write_log(tmp_path, '1_a', training(range(1, 4), loss=1.), 'x')
    (tmp_path / 'e.json').write_text(json.dumps({'protocol': 'frozen/1'}))
    (tmp_path / 'other.json').write_text('{"protocol": 3}')
    (tmp_path / 'eval').mkdir()
    (tmp_path / 'eval/p.pkl').touch()
    run = find_run(tmp_path)
    assert run.config == tmp_path / 'new.py'
    assert [log.path for log in run.logs] == [first, second]
    assert [len(records) for records in run.scalars()] == [3, 2]
    assert [log.text for log in run.logs] == [tmp_path / '1_a/1_a.log', None]
    assert run.evaluations == [tmp_path / 'e.json']
    assert run.dumps == [tmp_path / 'eval/p.pkl']
    assert run.checkpoint is None


def test_no_work_dir(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        find_run(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='neither a config .* a log'):
        find_run(tmp_path)


@pytest.mark.parametrize('line, why', [
    ('{"step": 2, "lo', 'is not JSON'), ('[1]', 'no record with a "step"'),
    ('{"loss": 1.0}', 'no record with a "step"'), ('', 'is not JSON')])
def test_a_broken_line_is_named(tmp_path, line, why):
    log = write_log(tmp_path, 'a', [])
    log.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(ValueError, match=f'scalars.json, line 2 .*{why}'):
        find_run(tmp_path)


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    path = write_log(tmp_path, 'a', [dict(step=1)])
    assert not read_log(path).cut_off
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    log = read_log(path)
    assert log.cut_off and log.records == [dict(step=1)]
    path.write_text('{"step": 1}\n{"step": 2}')  # whole but for its end
    log = read_log(path)
    assert not log.cut_off and len(log.records) == 2


def test_the_last_checkpoint(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for name in ('epoch_9.pth', 'epoch_10.pth', 'best_acc.pth'):
        (tmp_path / name).touch()
    assert last_checkpoint(tmp_path).name == 'epoch_10.pth'
    # The folder has moved since.
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_9.pth')
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_9.pth'
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_1.pth')
    assert last_checkpoint(tmp_path).name == 'epoch_10.pth'


def test_environment_of_a_log(tmp_path):
    log = tmp_path / 'a.log'
    log.write_text(ENVIRONMENT)
    assert read_environment(log) == {
        'Python': '3.11.7 (main: x)', 'MMEngine': '0.10.7', 'seed': '5'}
    assert log_times(log) == ['2026/11/21 12:00:43', '2026/11/21 12:16:20']
    log.write_text('nothing\n')
    assert read_environment(log) == {} and log_times(log) == []


def test_what_is_no_evaluation(tmp_path):
    path = tmp_path / 'e.json'
    with pytest.raises(FileNotFoundError, match='no evaluation'):
        read_evaluation(path)
    path.write_text('{')
    with pytest.raises(ValueError, match='e.json is not JSON'):
        read_evaluation(path)
    for content in ('[]', '{"protocol": "knn"}'):
        path.write_text(content)
        with pytest.raises(ValueError, match='"protocol" .*evaluate.py'):
            read_evaluation(path)
