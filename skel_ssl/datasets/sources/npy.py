# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""NumPy files from anywhere: no pickles, and no size that is only claimed."""
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Dict, Sequence, Tuple

import numpy as np

from .errors import BadFileError


def read_header(file: IO[bytes],
                size: int) -> Tuple[Tuple[int, ...], bool, np.dtype]:
    """Read the header of an ``.npy`` file, and hold it against the file.

    Args:
        file (IO[bytes]): At the beginning; it is left behind the header.
        size (int): Bytes of the whole file.

    Returns:
        tuple[tuple[int], bool, np.dtype]: Shape, whether it is in Fortran
        order, and type.

    Raises:
        BadFileError: If the array is not as long as the file, or is made of
            Python objects.
        ValueError: If it is no header; other errors, too, if it is damaged.
    """
    version = np.lib.format.read_magic(file)
    read = (np.lib.format.read_array_header_1_0 if version == (1, 0) else
            np.lib.format.read_array_header_2_0)
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise BadFileError('it is not a NumPy file with numbers, but with '
                           'Python objects (allow_pickle)')
    found = size - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > found:
        raise BadFileError(
            f'it says that it has the shape {shape} of {dtype}, and has '
            f'{found} bytes: it is cut off or damaged')
    return shape, fortran, dtype


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    read_header(file, size)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def read_npy(path: Path) -> np.ndarray:
    """Read an ``.npy`` file.

    Raises:
        BadFileError: If it is something else, damaged, or holds objects.
        OSError: If it cannot be read.
    """
    with path.open('rb') as file:
        try:
            return _read_array(file, os.fstat(file.fileno()).st_size)
        except BadFileError:
            raise
        except Exception as error:  # a damaged one raises nearly anything
            raise _damaged(error) from None


def read_npz(path: Path, keys: Sequence[str]) -> Dict[str, np.ndarray]:
    """Read the arrays of these names, those that are there.

    Raises:
        BadFileError: See :func:`read_npy`.
        OSError: If it cannot be read.
    """
    with path.open('rb') as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {key: read_member(archive, f'{key}.npy')
                        for key in keys if f'{key}.npy' in archive.namelist()}
        except BadFileError:
            raise
        except Exception as error:  # ditto
            raise _damaged(error) from None


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array of an archive; errors as of :func:`read_header`."""
    with archive.open(name) as file:
        return _read_array(file, archive.getinfo(name).file_size)


def _damaged(error: Exception) -> BadFileError:
    return BadFileError('it is not a NumPy file with numbers, or damaged '
                        f'({type(error).__name__}: {error})')
