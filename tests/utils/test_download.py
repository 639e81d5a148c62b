# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Downloads from a server in this process that breaks off on purpose."""
import hashlib
import json
import random
import socket
from functools import partial

import pytest

from skel_ssl.utils import download
from skel_ssl.utils.download import DownloadError, copy
from tests.utils.file_server import FileServer

CONTENT = random.Random(0).randbytes(300_000)
fetch = partial(download.fetch, attempts=3, pause=0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')


@pytest.fixture
def server():
    with FileServer(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'x.pkl'


def anything(path):
    pass


def first_bytes(server):
    """From where each request asked for the file."""
    return [request.get('Range') for request in server.requests]


def interrupt(server, target, at, then=0):
    """Leave a part of so many bytes; later answers are cut there."""
    server.cuts = [at, then, then]
    with pytest.raises(DownloadError, match=f'{at:,} bytes are here'):
        fetch(server.url, target, anything)
    assert target.with_name('x.pkl.part').read_bytes() == server.content[:at]
    assert not target.exists()
    server.requests.clear()


def test_complete(server, target):
    told = []
    fetch(server.url, target, anything, advance=lambda *x: told.append(x))
    assert target.read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert list(target.parent.iterdir()) == [target]
    assert first_bytes(server) == [None]


def test_cut_off_several_times(server, target):
    """It goes on at the byte where the line broke."""
    server.cuts = [100_000, 50_000, 7]
    fetch(server.url, target, anything)
    assert target.read_bytes() == CONTENT
    assert first_bytes(server) == [
        None, 'bytes=100000-', 'bytes=150000-', 'bytes=150007-']
    assert {request.get('If-Range') for request in server.requests[1:]
            } == {'"version 1"'}
    assert list(target.parent.iterdir()) == [target]


def test_gives_up_only_without_progress(server, target):
    """Three attempts in a row that bring nothing; then the same command."""
    server.cuts = [10, 0, 10, 0, 10, 0, 0]
    with pytest.raises(DownloadError, match='3 times; 30 bytes are here. The '
                       'same command goes on'):
        fetch(server.url, target, anything)
    fetch(server.url, target, anything)
    assert target.read_bytes() == CONTENT
    assert first_bytes(server)[-1] == 'bytes=30-'


def test_server_without_ranges(server, target):
    """From the beginning, and not for ever."""
    server.ranges = False
    server.cuts = [200_000, 100_000]
    fetch(server.url, target, anything)
    assert target.read_bytes() == CONTENT
    server.cuts = [200_000] * 9
    with pytest.raises(DownloadError, match='200,000 bytes are here'):
        fetch(server.url, target.with_name('y'), anything)
    assert len(server.cuts) == 6


@pytest.mark.parametrize('headers', [{}, {'ETag': 'W/"weak"'}])
def test_server_without_versions(server, target, headers):
    """Nothing says that the rest belongs to the same file: all again."""
    server.headers = headers
    interrupt(server, target, 100, then=100)
    fetch(server.url, target, anything)
    assert first_bytes(server) == [None]
    assert target.read_bytes() == CONTENT


def test_date_as_version(server, target):
    server.headers = {'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT'}
    interrupt(server, target, 100)
    fetch(server.url, target, anything)
    assert first_bytes(server) == ['bytes=100-']
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize('size', [300_000, 250_000, 50])
def test_changed_on_the_server(server, target, size):
    interrupt(server, target, 100_000)
    server.content = CONTENT[::-1][:size]
    server.headers['ETag'] = '"version 2"'
    fetch(server.url, target, anything)
    assert target.read_bytes() == server.content
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize('size', [250_000, 50])
def test_changed_under_the_same_version(server, target, size):
    """The size gives it away, or that there is no rest."""
    interrupt(server, target, 100_000)
    server.content = CONTENT[::-1][:size]
    fetch(server.url, target, anything)
    assert first_bytes(server) == ['bytes=100000-', None]
    assert target.read_bytes() == server.content


def test_part_of_another_address(server, target):
    interrupt(server, target, 100_000)
    fetch(f'{server.url}/mirror', target, anything)
    assert first_bytes(server) == [None]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize('record', [None, '', '{"url": "x"}', '[1]'])
def test_part_without_a_record(server, target, record):
    interrupt(server, target, 100_000)
    state = target.with_name('x.pkl.part.json')
    assert json.loads(state.read_text())['size'] == len(CONTENT)
    state.unlink()
    if record is not None:
        state.write_text(record)
    fetch(server.url, target, anything)
    assert first_bytes(server) == [None]
    assert target.read_bytes() == CONTENT


def test_interrupted_between_last_byte_and_name(server, target):
    interrupt(server, target, 100_000)
    target.with_name('x.pkl.part').write_bytes(CONTENT)
    fetch(server.url, target, anything)
    assert not server.requests
    assert target.read_bytes() == CONTENT


def test_hashes(server, target):
    right, wrong = hashlib.sha256(CONTENT).hexdigest(), '0' * 64
    fetch(server.url, target, anything, sha256=right.upper())
    server.headers['ETag'] = f'"{hashlib.md5(CONTENT).hexdigest().upper()}"'
    fetch(server.url, target, anything)
    server.headers['ETag'] = '"' + '0' * 32 + '"'
    fetch(server.url, target, anything, sha256=right)
    before = target.stat().st_mtime_ns
    for sha256, message in ((None, f'its MD5 is not 0{{32}}.*{right}'),
                            (wrong, f'its SHA-256 is {right}, not 0{{64}}')):
        with pytest.raises(DownloadError, match=message):
            fetch(server.url, target, anything, sha256=sha256)
        assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mtime_ns == before


def test_content_is_checked_before_it_has_its_name(server, target):
    seen = []

    def check(path):
        seen.append((path.read_bytes(), target.exists()))
        raise ValueError('it begins with <html>')

    with pytest.raises(DownloadError, match='begins with <html>.* deleted'):
        fetch(server.url, target, check)
    assert seen == [(CONTENT, False)]
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(('status', 'requests', 'message'), [
    (404, 1, r'http://127.*404.*--from.*--mirror'),
    (403, 1, r'http://127.*403.*--from.*--mirror'),
    (503, 3, r'http://127.*503.*3 times; 0 bytes are here'),
])
def test_refusals(server, target, status, requests, message):
    server.status = status
    with pytest.raises(DownloadError, match=message):
        fetch(server.url, target, anything)
    assert len(server.requests) == requests
    assert not list(target.parent.iterdir())


def test_nobody_answers(target):
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{bound.getsockname()[1]}'
        with pytest.raises(DownloadError, match='no connection .*refused'):
            fetch(url, target, anything)


def test_full_disk(server, target, monkeypatch):
    usage = download.shutil.disk_usage(target.parent)
    monkeypatch.setattr(download.shutil, 'disk_usage',
                        lambda path: usage._replace(free=len(CONTENT) - 1))
    source = target.with_name('source')
    source.write_bytes(CONTENT)
    for get in (partial(fetch, server.url), partial(copy, source)):
        with pytest.raises(DownloadError, match='make room'):
            get(target, anything)
    interrupted = target.with_name('y')
    monkeypatch.undo()
    monkeypatch.setenv('no_proxy', '*')
    server.cuts = [10, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server.url, interrupted, anything)
    monkeypatch.setattr(download.shutil, 'disk_usage',
                        lambda path: usage._replace(free=len(CONTENT) - 10))
    fetch(server.url, interrupted, anything)  # the rest has room
    assert interrupted.read_bytes() == CONTENT


def test_copy(target):
    source = target.with_name('source')
    source.write_bytes(CONTENT)
    right = hashlib.sha256(CONTENT).hexdigest()
    copy(source, target, anything, sha256=right)
    assert target.read_bytes() == CONTENT

    def check(path):
        raise ValueError('it is no pickle')

    with pytest.raises(DownloadError, match='source is not the file: it is'):
        copy(source, target.with_name('y'), check)
    with pytest.raises(DownloadError, match='its SHA-256 is'):
        copy(source, target.with_name('y'), anything, sha256='0' * 64)
    assert sorted(target.parent.iterdir()) == [source, target]
