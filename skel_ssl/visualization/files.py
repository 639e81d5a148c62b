# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures on disk."""
import os
from typing import Union

from matplotlib.figure import Figure

from skel_ssl.utils.files import replacing


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
