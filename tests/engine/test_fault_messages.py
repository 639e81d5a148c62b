# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a user is told about a fault, and what stays a traceback."""
import errno
import logging
import os
import signal
import subprocess
import sys
from importlib import util

import numpy as np
import pytest
from torch._utils import ExceptionWrapper
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)

from skel_ssl.datasets.ragged_writer import write_store
from skel_ssl.datasets.skeleton_dataset import ClipError
from skel_ssl.engine import CollapsedError, NonFiniteError
from skel_ssl.utils import cli
from skel_ssl.utils.checkpoint_loading import DamagedCheckpointError
from skel_ssl.utils.faults import explain, log_must_be_writable
from tests.tools.conftest import ROOT, free_port


def from_a_worker(error, cause=None):
    """The error as torch raises it again in the main process."""
    try:
        raise error from cause
    except Exception:
        wrapped = ExceptionWrapper(where='in DataLoader worker process 3')
    with pytest.raises(type(error)) as again:
        wrapped.reraise()
    assert 'Traceback' in str(again.value)
    return again.value


@pytest.mark.parametrize('error, text', [
    (ClipError("clip 'a' is damaged:\nClipError, twice"),
     "clip 'a' is damaged:\nClipError, twice"),
    (ValueError('a value'), 'a value'),
    (FileNotFoundError('no file'), 'no file'),
])
def test_the_traceback_of_a_worker_is_taken_off(error, text):
    assert explain(error) == text
    assert explain(from_a_worker(error)) == text
    assert explain(from_a_worker(error, IndexError('its cause'))) == text


def test_a_dead_worker_is_told_of_in_whatever_it_interrupts():
    killed = RuntimeError(
        'DataLoader worker (pid 12) is killed by signal: Killed. ')
    for error in (KeyError('x'), ValueError('y'), RuntimeError('z')):
        with pytest.raises(type(error)) as wrapped:
            try:
                raise killed
            except RuntimeError:
                raise error  # noqa: B904
        assert explain(wrapped.value).startswith('DataLoader worker (pid 12)')
    # Who says "from None" has a better message.
    with pytest.raises(ValueError) as better:
        try:
            raise killed
        except RuntimeError:
            raise ValueError('what to do') from None
    assert explain(better.value) == 'what to do'


def test_a_connection_to_a_worker_that_breaks():
    """torch was taking a batch from it."""
    loader = dict(__name__='torch.utils.data.dataloader')
    exec('def take(error): raise error', loader)
    error = ConnectionResetError(104, 'Connection reset by peer')
    with pytest.raises(ConnectionResetError) as broken:
        loader['take'](error)
    assert explain(broken.value).startswith(
        'a DataLoader worker has ended ([Errno 104] Connection reset by peer)')
    # Another one, of a download, say.
    assert explain(ConnectionResetError(104, 'reset')) == '[Errno 104] reset'


@pytest.mark.parametrize('kind', [
    ValueError, TypeError, ImportError, DamagedCheckpointError,
    CollapsedError, NonFiniteError
])
def test_faults_that_are_told(kind):
    assert explain(kind('what to do')) == 'what to do'


@pytest.mark.parametrize('error', [
    RuntimeError('shapes differ'), AttributeError('none'), IndexError('5'),
    AssertionError('ours'), ZeroDivisionError()
])
def test_a_mistake_in_the_program_stays_a_traceback(error):
    assert explain(error) is None


@pytest.mark.parametrize('number, advice', [
    (errno.ENOSPC, '--resume'), (errno.EDQUOT, 'quota.*--resume'),
    (errno.EROFS, '--work-dir'), (errno.EACCES, '--work-dir'),
    (errno.EFBIG, 'ulimit -f.*--resume')
])
def test_disks(number, advice):
    said = explain(OSError(number, os.strerror(number), 'epoch_3.pth'))
    with pytest.raises(AssertionError, match=f'epoch_3.pth.*{advice}'):
        raise AssertionError(said)
    assert os.strerror(number) in said


def test_other_errors_of_files_get_no_advice():
    error = FileNotFoundError(errno.ENOENT, 'No such file', 'clips.pkl')
    assert explain(error) == "[Errno 2] No such file: 'clips.pkl'"


def test_a_process_that_has_died():
    worker = explain(RuntimeError(
        'DataLoader worker (pid 12) is killed by signal: Bus error. It is '
        'possible that something else'))
    assert worker.startswith('DataLoader worker (pid 12) is killed by signal: '
                             'Bus error. If nobody')
    rank = explain(RuntimeError(
        '[/a/third_party/gloo/gloo/transport/tcp/pair.cc:5] Connection closed '
        'by peer [127.0.0.1]:1'))
    assert rank.startswith('another process of this run has ended')
    assert 'closed by peer [127.0.0.1]:1' in rank


# ------------------------------------------------------------------- the log


def unwritable(tmp_path):
    handler = logging.FileHandler(tmp_path / 'run.log')
    handler.stream.close()
    handler.stream = open('/dev/full', 'w')
    return handler


@pytest.mark.skipif(not os.path.exists('/dev/full'),
                    reason='this system has no /dev/full')
def test_a_log_that_cannot_be_written_ends_a_tool(tmp_path, capsys):
    handler, usual = unwritable(tmp_path), logging.Handler.handleError
    record = logging.makeLogRecord(dict(msg='a line'))

    def main():
        handler.handle(record)
        pytest.fail('it went on')

    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith('error: ') and 'Traceback' not in said
    assert f"No space left on device: '{tmp_path / 'run.log'}'" in said
    # Afterwards, and outside of tools, logging is as it was.
    assert logging.Handler.handleError is usual
    handler.handle(record)
    assert '--- Logging error ---' in capsys.readouterr().err


def test_a_worker_that_dies_while_a_line_is_written():
    """logging would print the error of the signal, and go on."""
    killed = 'DataLoader worker (pid 12) is killed by signal: Killed. '

    class Stream:

        def write(self, text):
            raise RuntimeError(killed)

    handler = logging.StreamHandler(Stream())
    with log_must_be_writable(), pytest.raises(RuntimeError, match='killed'):
        handler.handle(logging.makeLogRecord(dict(msg='a line')))


def test_other_mistakes_in_a_log_line_do_not_end_a_tool(tmp_path, capsys):
    handler = logging.FileHandler(tmp_path / 'run.log')
    with log_must_be_writable():
        handler.handle(logging.makeLogRecord(dict(msg='%d', args=('x', ))))
    assert '--- Logging error ---' in capsys.readouterr().err


CUT_WHILE_READ = '''
import os
import sys
from skel_ssl.datasets.ragged_store import RaggedStore
from skel_ssl.utils.cli import run

def main():
    store = RaggedStore(sys.argv[1])
    first, last = (x['in_store'] for x in store.load_index()['annotations'])
    store.read(first)
    os.truncate(os.path.join(sys.argv[1], 'keypoint.npy'), 4096)
    print(store.read(last)['keypoint'].sum())

run(main)
'''


@pytest.mark.skipif(sys.platform != 'linux', reason='bus errors are of Linux')
def test_a_bus_error_says_where(tmp_path):
    """Nothing of Python can be raised there."""
    keypoint = np.ones((1, 99, 25, 3), np.float32)
    write_store(tmp_path / 'a.store', split=dict(train=['0', '1']),
                annotations=[dict(frame_dir=name, keypoint=keypoint, label=0,
                                  total_frames=99) for name in '01'])
    done = subprocess.run(
        [sys.executable, '-c', CUT_WHILE_READ, str(tmp_path / 'a.store')],
        capture_output=True, text=True)
    assert done.returncode == -signal.SIGBUS and not done.stdout
    assert 'Fatal Python error: Bus error' in done.stderr
    assert 'in read\n' in done.stderr
    assert 'ragged_store.py' in done.stderr


# -------------------------------------------------------------- the launcher

RANK = '''
import os, signal, sys, time
if os.environ['RANK'] == '1':
    {end}
time.sleep(600)
'''


@pytest.mark.parametrize('codes, said', [
    ((1, -signal.SIGKILL), 'rank 1 (pid 11) was killed by SIGKILL'),
    ((1, 3), 'rank 0 (pid 10) ended with exit status 1'),
    ((1, -signal.SIGABRT), 'rank 0 (pid 10) ended with exit status 1'),
    ((-signal.SIGBUS, 1), 'rank 0 (pid 10) was killed by SIGBUS'),
])
def test_ranks_that_ended_between_two_looks(codes, said):
    """Of two in one second torchrun takes the lower rank for the first."""
    spec = util.spec_from_file_location(
        'launch', ROOT / 'tools/dist_launch.py')
    launch = util.module_from_spec(spec)
    spec.loader.exec_module(launch)
    failures = {}
    for rank, code in enumerate(codes):
        failures[rank] = ProcessFailure(rank, 10 + rank, code, '')
        failures[rank].timestamp = 0
    error = ChildFailedError('train.py', failures)
    assert launch.describe(error).startswith(said)


@pytest.mark.parametrize('end, said', [
    ('os.kill(os.getpid(), signal.SIGKILL)', 'was killed by SIGKILL'),
    ('sys.exit(3)', 'ended with exit status 3'),
])
def test_the_launcher_says_which_rank_died(tmp_path, end, said):
    """And it ends the other, which would sleep for ten minutes."""
    script = tmp_path / 'rank.py'
    script.write_text(RANK.format(end=end))
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/dist_launch.py'),
         '--nproc_per_node=2', f'--master_port={free_port()}', str(script)],
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: rank 1 (pid ') and said in last
    assert 'Traceback' not in done.stderr

