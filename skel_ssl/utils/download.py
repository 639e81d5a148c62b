# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Fetch large files so that a broken line costs little."""
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Callable, Dict, NamedTuple, Optional

Advance = Callable[[int, Optional[int]], None]
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_MD5 = re.compile(r'"?([0-9a-f]{32})"?', re.ASCII | re.IGNORECASE)


class DownloadError(OSError):
    """A file could not be fetched; the message says what to do."""


class _CutOffError(Exception):
    """The line broke, or the server is busy; it may be better next time."""


class _State(NamedTuple):
    """What the server said of the file that a part belongs to.

    Attributes:
        url (str): Where it came from.
        size (int, optional): Bytes of the whole.
        etag (str): Its version, or empty.
        modified (str): The same as a date.
    """
    url: str
    size: Optional[int]
    etag: str
    modified: str

    @property
    def validator(self) -> str:
        """What ``If-Range`` takes: a strong ETag, or the date."""
        return self.modified if self.etag.startswith('W/') else (
            self.etag or self.modified)


def fetch(url: str,
          target: Path,
          check: Callable[[Path], None],
          sha256: Optional[str] = None,
          advance: Advance = lambda done, size: None,
          attempts: int = 5,
          pause: float = 1.) -> None:
    """Fetch a file, and go on where an earlier call stopped.

    It grows as ``<target>.part`` (beside ``<target>.part.json``, which says
    what it is part of) and takes its name when it is complete and checked:
    its size; its SHA-256 if one is given, or else its MD5 if the server's
    ETag looks like one; and ``check``. If the file on the server is another
    one by now, or the server cannot send the rest of a file, it is fetched
    from the beginning.

    Args:
        url (str): Where it is, http or https.
        target (Path): The file to write, in an existing folder.
        check (Callable[[Path], None]): Raises a ValueError if the content is
            not what it should be.
        sha256 (str, optional): Its hash, in hexadecimal digits.
        advance (Callable): Is told how many bytes are there, and of how many.
        attempts (int): How often to try without getting any further.
        pause (float): Seconds before the second attempt, twice that before
            the third, and so on.

    Raises:
        DownloadError: If it cannot be fetched, or is not what it should be.
        OSError: If it cannot be written.
    """
    part = target.with_name(f'{target.name}.part')
    farthest, failures = -1, 0
    while True:
        try:
            state = _fetch_rest(url, part, advance)
            break
        except _CutOffError as error:
            done = part.stat().st_size if part.exists() else 0
            failures = 1 if done > farthest else failures + 1
            farthest = max(farthest, done)
            if failures >= attempts:
                raise DownloadError(
                    f'{url}: {error}, {attempts} times; {done:,} bytes are '
                    'here. The same command goes on from there; or try '
                    '--mirror') from None
            time.sleep(pause * 2**(failures - 1))
    try:
        _verify(part, state, sha256)
        check(part)
    except ValueError as error:
        _forget(part)
        raise DownloadError(
            f'what came from {url} is not the file: {error}. It was deleted; '
            'try again, or --mirror') from None
    os.replace(part, target)
    _forget(part)


def copy(source: Path,
         target: Path,
         check: Callable[[Path], None],
         sha256: Optional[str] = None,
         advance: Advance = lambda done, size: None) -> None:
    """Copy a file as :func:`fetch` would fetch it, from a folder.

    Args:
        source (Path): The file.
        target (Path): See :func:`fetch`.
        check (Callable[[Path], None]): See :func:`fetch`.
        sha256 (str, optional): See :func:`fetch`.
        advance (Callable): See :func:`fetch`.

    Raises:
        DownloadError: If it is not what it should be.
        OSError: If it cannot be read or written.
    """
    size, done = source.stat().st_size, 0
    _check_space(target.parent, size)
    partial = target.with_name(f'.{target.name}.{os.getpid()}.tmp')
    try:
        with source.open('rb') as old, partial.open('wb') as new:
            while block := old.read(_CHUNK):
                new.write(block)
                done += len(block)
                advance(done, size)
        try:
            check_sha256(partial, sha256)
            check(partial)
        except ValueError as error:
            raise DownloadError(f'{source} is not the file: {error}') from None
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def check_sha256(path: Path, sha256: Optional[str]) -> None:
    """Compare a file's hash.

    Args:
        path (Path): The file.
        sha256 (str, optional): What it must be. None: anything.

    Raises:
        ValueError: If it is another one.
    """
    if sha256 is None:
        return
    found = _digest(path, 'sha256')
    if found != sha256.lower():
        raise ValueError(f'its SHA-256 is {found}, not {sha256.lower()}')


def _fetch_rest(url: str, part: Path, advance: Advance) -> _State:
    """Add to the part until it is complete, or the line breaks."""
    old = _read_state(part)
    done = part.stat().st_size if part.exists() else 0
    if old is None or old.url != url or not old.validator:
        old, done = None, 0
    if old is not None and done == old.size:
        return old
    headers = {'Accept-Encoding': 'identity', 'User-Agent': 'skel_ssl'}
    if old is not None and done:
        headers.update({'Range': f'bytes={done}-', 'If-Range': old.validator})
    with _open(url, headers, part) as response:
        new = _state_of(response, url)
        if response.status != 206:
            done = 0
        elif old is not None and _continues(response, old, new, done):
            new = old
        else:
            _forget(part)
            raise _CutOffError('the file changed while it was fetched')
        _check_space(part.parent, (new.size or 0) - done)
        if done == 0:
            _forget(part)
            _write_state(part, new)
        with part.open('ab') as file:
            done = _receive(response, file, done, new.size, advance)
    if new.size is not None and done < new.size:
        raise _CutOffError(f'the connection ended before {new.size:,} bytes')
    return new


def _open(url: str, headers: Dict[str, str],
          part: Path) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # the rest of another file
                _forget(part)
                raise _CutOffError('the file is shorter than it was') from None
            if error.code == 429 or error.code >= 500:
                raise _CutOffError(f'the server says {error}') from None
            raise DownloadError(
                f'{url}: the server says {error}. If the file has moved, or '
                'this network cannot reach it, fetch it elsewhere and give '
                'its folder with --from, or a copy of it with --mirror'
            ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise _CutOffError(f'no connection ({reason})') from None


def _receive(response: http.client.HTTPResponse, file: IO[bytes], done: int,
             size: Optional[int], advance: Advance) -> int:
    advance(done, size)
    while True:
        try:
            block = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _CutOffError(
                f'the connection broke ({type(error).__name__})') from None
        if not block:
            return done
        file.write(block)
        done += len(block)
        advance(done, size)


def _state_of(response: http.client.HTTPResponse, url: str) -> _State:
    if response.status == 206:
        words = response.headers.get('Content-Range', '').rpartition('/')
    else:
        words = ('', '', response.headers.get('Content-Length', ''))
    return _State(url, int(words[2]) if words[2].isdigit() else None,
                  response.headers.get('ETag', ''),
                  response.headers.get('Last-Modified', ''))


def _continues(response: http.client.HTTPResponse, old: _State, new: _State,
               done: int) -> bool:
    """Whether an answer is the rest of the part, by what it says."""
    said = response.headers.get('Content-Range', '')
    return (said.startswith(f'bytes {done}-')
            and new.size in (None, old.size)
            and new.etag in ('', old.etag)
            and new.modified in ('', old.modified))


def _verify(part: Path, state: _State, sha256: Optional[str]) -> None:
    size = part.stat().st_size
    if state.size not in (None, size):
        raise ValueError(f'it has {size:,} bytes, not {state.size:,}')
    md5 = _MD5.fullmatch(state.etag)
    if sha256 is not None:
        check_sha256(part, sha256)
    elif md5 and _digest(part, 'md5') != md5[1].lower():
        raise ValueError(
            f'its MD5 is not {md5[1]}, as the server says (its ETag). If the '
            'ETags of this server are something else, --sha256 skips this '
            f'test; that of the file is {_digest(part, "sha256")}')


def _digest(path: Path, name: str) -> str:
    digest = hashlib.new(name)
    with path.open('rb') as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f'{folder} has {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} '
            'GB are needed: make room, or write to another disk (--out)')


def _state_file(part: Path) -> Path:
    return part.with_name(f'{part.name}.json')


def _read_state(part: Path) -> Optional[_State]:
    """None: it is not known what the part is part of."""
    try:
        return _State(**json.loads(_state_file(part).read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):  # cut off
        return None


def _write_state(part: Path, state: _State) -> None:
    _state_file(part).write_text(json.dumps(state._asdict()))


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)
