# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/data/download.py, from a server in this process and from a folder."""
import hashlib
import importlib.util
import pickle
import sys

import numpy as np
import pytest

from skel_ssl.utils import cli
from tests.tools.conftest import ROOT
from tests.utils.file_server import FileServer

TOOL = 'tools/data/download.py'


def make_pickle(*splits):
    clip = dict(frame_dir='a', label=0, total_frames=400,
                keypoint=np.zeros((1, 400, 25, 3), np.float32))
    return pickle.dumps(
        dict(split={name: ['a'] for name in splits}, annotations=[clip]))


NTU60 = make_pickle('xsub_train', 'xsub_val', 'xview_train', 'xview_val')
GYM = make_pickle('train', 'val')


@pytest.fixture
def server():
    with FileServer(NTU60) as server:
        yield server


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """Runs the tool in this process: its exit status and what it prints."""
    spec = importlib.util.spec_from_file_location('download', ROOT / TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr('time.sleep', lambda seconds: None)

    def run(*args):
        monkeypatch.setenv('COLUMNS', '200')
        monkeypatch.setattr(sys, 'argv', [
            TOOL, *map(str, args), '--out', str(tmp_path / 'out')])
        code = 0
        try:
            cli.run(module.main)
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, ' '.join((printed.out + printed.err).split())

    return run


def test_as_a_program(run_tool, server, tmp_path):
    """Cut off twice on the way, into a folder that is not there yet."""
    server.cuts = [50_000, 50_000]
    done = run_tool(TOOL, 'ntu60_3d', '--mirror', f'{server.url}/a/', '--out',
                    tmp_path / 'new', no_proxy='*', COLUMNS='200')
    target = tmp_path / 'new' / 'ntu60_3d.pkl'
    assert target.read_bytes() == NTU60
    assert f'{len(NTU60):,} bytes from {server.url}/a/ntu60_3d.pkl' in (
        done.stdout)
    assert [x.get('Range') for x in server.requests] == [
        None, 'bytes=50000-', 'bytes=100000-']
    assert list(target.parent.iterdir()) == [target]


def test_what_is_there_is_not_fetched_again(tool, server, tmp_path):
    mirror = ('--mirror', server.url)
    assert tool('ntu60_3d', *mirror)[0] == 0
    code, printed = tool('ntu60_3d', *mirror)
    assert code == 0 and 'ntu60_3d.pkl is there already' in printed
    right = hashlib.sha256(NTU60).hexdigest()
    assert tool('ntu60_3d', *mirror, '--sha256', right)[0] == 0
    assert len(server.requests) == 1
    code, printed = tool('ntu60_3d', *mirror, '--sha256', '0' * 64)
    assert code == 1 and f'its SHA-256 is {right}' in printed
    target = tmp_path / 'out' / 'ntu60_3d.pkl'
    target.write_bytes(NTU60[:1000])
    code, printed = tool('ntu60_3d', *mirror)
    assert code == 1 and 'cut off' in printed and '--overwrite' in printed
    assert tool('ntu60_3d', *mirror, '--overwrite')[0] == 0
    assert target.read_bytes() == NTU60 and len(server.requests) == 2


@pytest.mark.parametrize(('content', 'message'), [
    (b'<html>come back later</html>', "begins with b'<html>"),
    (GYM, "no clips of split 'xsub_train', its splits are ['train', 'val']"),
    (NTU60[:-50], 'is cut off or damaged'),
])
def test_content_is_looked_at(tool, server, tmp_path, content, message):
    server.content = content
    code, printed = tool('ntu60_3d', '--mirror', server.url)
    assert code == 1 and message in printed and '--mirror' in printed
    (tmp_path / 'ntu60_3d.pkl').write_bytes(content)
    code, printed = tool('ntu60_3d', '--from', tmp_path)
    assert code == 1 and message in printed
    assert not list((tmp_path / 'out').iterdir())


def test_errors_say_what_to_do(tool, server, tmp_path):
    server.status = 404
    code, printed = tool('ntu60_3d', '--mirror', server.url)
    assert code == 1 and printed.count('error: ') == 1
    assert f'{server.url}/ntu60_3d.pkl: the server says' in printed
    assert '--from' in printed and '--mirror' in printed
    server.status = 200
    server.cuts = [1000] + 5 * [0]
    code, printed = tool('ntu60_3d', '--mirror', server.url)
    assert code == 1 and '1,000 bytes are here. The same command' in printed
    assert tool('ntu60_3d', '--mirror', server.url)[0] == 0
    assert server.requests[-1]['Range'] == 'bytes=1000-'


def test_from_a_folder(tool, tmp_path):
    """Several, by our names and by pyskl's, without a network."""
    (tmp_path / 'ntu60_3danno.pkl').write_bytes(NTU60)
    (tmp_path / 'gym_2d.pkl').write_bytes(GYM)
    assert tool('gym_2d', 'ntu60_3d', '--from', tmp_path)[0] == 0
    out = tmp_path / 'out'
    assert (out / 'ntu60_3d.pkl').read_bytes() == NTU60
    assert (out / 'gym_2d.pkl').read_bytes() == GYM
    code, printed = tool('diving48_2d', '--from', tmp_path)
    assert code == 1
    assert 'neither diving48_2d.pkl nor diving48_hrnet.pkl' in printed
    assert 'download.openmmlab.com/mmaction/v1.0/skeleton/data/div' in printed
    assert len(list(out.iterdir())) == 2
    code, printed = tool('--list')
    assert code == 0 and 'hmdb51_2d' in printed and '0 MiB' in printed


@pytest.mark.parametrize(('args', 'message'), [
    ([], '--list says what there is'),
    (['ntu61'], "there is no 'ntu61': names are ntu60_3d,"),
    (['gym_2d', 'ntu60_3d', '--sha256', '0' * 64], 'goes with one name'),
    (['gym_2d', '--sha256', 'abc'], 'has 64 digits'),
    (['gym_2d', '--mirror', '/data'], 'for a folder there is --from'),
    (['gym_2d', '--mirror', 'http://x', '--from', 'y'], 'not allowed with'),
])
def test_wrong_arguments(tool, args, message):
    code, printed = tool(*args)
    assert code == 2 and message in printed
