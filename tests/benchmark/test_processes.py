# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Children are measured, ended with all that they started, and locked in."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from skel_ssl.benchmark import processes
from skel_ssl.benchmark.processes import Children, InUse, Stopped, lock

SPIN = 'import time; t = time.process_time()\nwhile '
SPIN += 'time.process_time() < t + .2: pass'


def run(children, log, code, keep=()):
    return children.run([sys.executable, '-c', code], log, os.environ, keep)


def test_what_a_child_needs_with_what_it_starts(tmp_path):
    log = tmp_path / 'log'
    code = f'import subprocess, sys; print("one", flush=True); {SPIN!r}\n' \
           f'subprocess.run([sys.executable, "-c", {SPIN!r}])'
    usage = run(Children(), log, code)
    assert usage.code == 0
    assert .2 < usage.cpu < 60 and usage.wall > .2
    assert run(Children(), log, 'print("two"); raise SystemExit(3)').code == 3
    assert log.read_text().split() == ['one', 'two']


def wait_for(path):
    while not path.exists() or not path.read_text():
        time.sleep(.02)
    return path.read_text()


def is_alive(pid):
    """Whether a process is there, and more than an entry in a table."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_all_are_ended_together(tmp_path):
    grandchild = tmp_path / 'pid'
    code = ('import subprocess, sys, time; p = subprocess.Popen(['
            'sys.executable, "-c", "import time; time.sleep(60)"]); '
            f'open({str(grandchild)!r}, "w").write(str(p.pid)); '
            'time.sleep(60)')
    children, found = Children(), []
    thread = threading.Thread(
        target=lambda: found.append(run(children, tmp_path / 'log', code)))
    thread.start()
    pid = int(wait_for(grandchild))
    children.stop()
    thread.join(30)
    assert found[0].code < 0
    until = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(.02)
    assert not is_alive(pid)
    assert children.stopped
    with pytest.raises(Stopped):
        run(children, tmp_path / 'log', 'pass')


def test_a_child_that_has_just_ended_spares_no_other(monkeypatch):
    children, told = Children(), []

    def killpg(pid, number):
        told.append((number, pid))
        raise ProcessLookupError

    monkeypatch.setattr(processes, 'PATIENCE', 0)
    monkeypatch.setattr(os, 'killpg', killpg)
    children._running = {11, 12, 13}
    children.stop()
    assert set(told) == {(number, pid)
                         for number in (signal.SIGTERM, signal.SIGKILL)
                         for pid in (11, 12, 13)}


def test_a_lock_keeps_others_out(tmp_path):
    path = tmp_path / '.lock'
    with lock(path):
        with pytest.raises(InUse, match='is locked'):
            with lock(path):
                pass
    with lock(path):
        pass


def test_a_child_holds_the_lock_of_a_parent_that_was_killed(tmp_path):
    path, ready = tmp_path / '.lock', tmp_path / 'ready'
    child = ('import time, pathlib; '
             f'pathlib.Path({str(ready)!r}).write_text("x"); time.sleep(60)')
    code = ('import subprocess, sys, os, signal\n'
            'from pathlib import Path\n'
            'from skel_ssl.benchmark.processes import lock\n'
            f'with lock(Path({str(path)!r})) as held:\n'
            f'    p = subprocess.Popen([sys.executable, "-c", {child!r}], '
            'pass_fds=[held], stdout=subprocess.DEVNULL, '
            'stderr=subprocess.DEVNULL)\n'
            '    print(p.pid, flush=True)\n'
            '    os.kill(os.getpid(), signal.SIGKILL)')
    parent = subprocess.run([sys.executable, '-c', code], capture_output=True,
                            text=True, timeout=120)
    assert parent.returncode == -9
    wait_for(ready)
    with pytest.raises(InUse):
        with lock(path):
            pass
    os.kill(int(parent.stdout), 9)
    until = time.monotonic() + 30
    while is_alive(int(parent.stdout)) and time.monotonic() < until:
        time.sleep(.02)
    with lock(path):
        pass
