# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures on disk, whole or not at all."""
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from matplotlib.figure import Figure


@contextmanager
def replacing(path: Union[str, os.PathLike]) -> Iterator[Path]:
    """A temporary name beside a file, which it takes when all went well.

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


def save_figure(path: Union[str, os.PathLike],
                figure: Figure,
                dpi: int = 110) -> None:
    """Write a figure as a PNG.

    Args:
        path (str | os.PathLike): The file; its folder must exist.
        figure (Figure): The figure.
        dpi (int): Pixels an inch.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format='png')
