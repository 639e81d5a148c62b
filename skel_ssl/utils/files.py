# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Files on disk, whole or not at all."""
import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Union

PathLike = Union[str, os.PathLike]


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A temporary name beside a file, which it takes when all went well.

    A reader never sees half a file, and after a fault, be it a power cut,
    the name belongs to what had it before.

    Args:
        path (str | os.PathLike): The file; its folder must exist.

    Raises:
        OSError: That of a full or a read-only disk; it names the file.
    """
    path = Path(path)
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield temporary
        with temporary.open('r+b') as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        name_file(error, path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def name_file(error: OSError, path: PathLike) -> None:
    """Have an error of the system name its file, which ``write`` omits."""
    if error.errno is not None and error.filename is None:
        error.filename = os.fspath(path)


def abandoned(folder: PathLike) -> List[Path]:
    """Temporary files of :func:`replacing` that a killed process left.

    Those of processes that live on this machine are not among them.

    Args:
        folder (str | os.PathLike): Where to look; it need not exist.
    """
    found = sorted(Path(folder).glob('.*'))
    named = [(path, re.match(r'\.(\d+)\..', path.name)) for path in found]
    return [
        path for path, number in named
        if number and path.is_file() and not _is_alive(int(number[1]))
    ]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True


def write_json(path: PathLike, content: Any) -> None:
    """Write JSON, indented.

    Args:
        path (str | os.PathLike): The file; its folder must exist.
        content (Any): What JSON can hold.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
