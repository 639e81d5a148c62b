# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Files on disk, whole or not at all."""
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

PathLike = Union[str, os.PathLike]


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A temporary name beside a file, which it takes when all went well.

    A reader never sees half a file, and after a fault the name belongs to
    what had it before.

    Args:
        path (str | os.PathLike): The file; its folder must exist.
    """
    path = Path(path)
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: PathLike, content: Any) -> None:
    """Write JSON, indented.

    Args:
        path (str | os.PathLike): The file; its folder must exist.
        content (Any): What JSON can hold.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
