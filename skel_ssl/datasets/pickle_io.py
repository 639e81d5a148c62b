# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Read pickles without running what a stranger put in them."""
import io
import math
import os
import pickle
from collections import OrderedDict, defaultdict
from typing import IO, Any, Dict, List, Tuple, Type, Union

import torch
from torch._utils import _rebuild_tensor_v2

from skel_ssl.utils.pickled_arrays import (
    NUMPY_GLOBALS,
    RefusedError,
    encode,
    finish,
    make_bytearray,
    make_bytes,
)

TRUST_VARIABLE = 'SKEL_SSL_TRUST_DATA'

_BUILTINS = (bool, complex, dict, float, frozenset, int, list, set, str, tuple)
# What a pickle of plain data may call, and what is called for it.
_ALLOWED: Dict[Tuple[str, str], Any] = {
    ('_codecs', 'encode'): encode,
    ('collections', 'OrderedDict'): OrderedDict,
    ('collections', 'defaultdict'): defaultdict,
    # Python 2 and pickle protocols below 3 call it __builtin__
    **{(module, name): kind
       for module in ('builtins', '__builtin__') for name, kind in (
           ('bytes', make_bytes), ('bytearray', make_bytearray),
           *((kind.__name__, kind) for kind in _BUILTINS))},
    **NUMPY_GLOBALS
}


def _load_numbers(content: bytes) -> Any:
    """The numbers of a tensor, in place of ``torch.storage``'s own loader.

    That one reads the bytes, a pickle again, with all the code in them.
    """
    try:
        return torch.load(io.BytesIO(content), weights_only=True)
    except pickle.UnpicklingError:
        raise RefusedError('other things than numbers in a tensor') from None


def _rebuild_tensor(storage: torch.storage.TypedStorage, offset: int,
                    size: Tuple[int, ...], stride: Tuple[int, ...],
                    *others: Any) -> torch.Tensor:
    """A tensor of its numbers; one of more than there are is refused.

    Torch would make room for them.
    """
    numbers = storage._size()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if (min((offset, *size, *stride)) < 0 or len(size) != len(stride)
            or max(last + 1, math.prod(size)) > numbers):
        raise RefusedError(
            f'a tensor of size {tuple(size)} that has {numbers} numbers')
    return _rebuild_tensor_v2(storage, offset, size, stride, *others)


# What a dump of predictions may call on top of that.
_ALLOWED_IN_DUMPS: Dict[Tuple[str, str], Any] = {
    **_ALLOWED,
    ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
    ('torch.storage', '_load_from_bytes'): _load_numbers
}


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, numbers, text and arrays, and nothing else.

    A name outside the list is refused before it is imported, so nothing
    that the file brings along is executed.
    """
    allowed = _ALLOWED
    plain = 'containers, numbers, text, NumPy arrays'

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise RefusedError(f'{module}.{name}')
        return self.allowed[module, name]


class _DumpUnpickler(_PlainUnpickler):
    """Builds tensors of torch, too."""
    allowed = _ALLOWED_IN_DUMPS
    plain = 'containers, numbers, text, arrays, tensors'


def load_annotations(path: Union[str, os.PathLike]) -> Dict[str, Any]:
    """Read an MMAction2 pose pickle, plain data only.

    The file is read by an unpickler that builds containers, numbers, text
    and NumPy arrays. Set the environment variable ``SKEL_SSL_TRUST_DATA=1``
    to read a file of your own that holds other objects: that runs whatever
    code the file contains.

    Args:
        path (str | os.PathLike): The file, relative to the working
            directory or absolute.

    Returns:
        dict: What the file holds: at least ``split``, a dict from a split's
        name to the names of its clips, and ``annotations``, a list with one
        dict a clip.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no pickle, is cut off or damaged, asks for
            objects other than plain data, or lacks one of the two keys.
    """
    path = os.fspath(path)
    try:
        file = open(path, 'rb')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'there is no annotation file {path!r}; looked for it at '
            f'{os.path.abspath(path)!r}. data/README.md says where each data '
            'set comes from and which command writes its pickle') from None
    with file:
        data = _unpickle(file, path, _PlainUnpickler)
    _check_structure(data, path)
    return data


def load_plain(path: Union[str, os.PathLike]) -> Any:
    """Read a pickle of plain data, whatever its structure.

    As :func:`load_annotations`, which looks at the structure, too.

    Args:
        path (str | os.PathLike): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no pickle, is cut off or damaged, or asks
            for objects other than plain data.
    """
    path = os.fspath(path)
    with open(path, 'rb') as file:
        return _unpickle(file, path, _PlainUnpickler)


def load_dump(path: Union[str, os.PathLike]) -> List[Dict[str, Any]]:
    """Read what MMEngine's ``DumpResults`` wrote, plain data and tensors.

    The file is read as by :func:`load_annotations`, tensors on the CPU
    besides; ``SKEL_SSL_TRUST_DATA=1`` lifts the limits here, too.

    Args:
        path (str | os.PathLike): The file.

    Returns:
        list[dict]: One dict a sample, at least one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no pickle, is cut off or damaged, asks for
            other objects, or does not hold a list of dicts.
    """
    path = os.fspath(path)
    try:
        file = open(path, 'rb')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'there is no dump {path!r}; looked for it at '
            f'{os.path.abspath(path)!r}. "tools/test.py ... --dump '
            f'{os.path.basename(path)}" writes one') from None
    with file:
        data = _unpickle(file, path, _DumpUnpickler)
    if not (isinstance(data, list) and data
            and all(isinstance(sample, dict) for sample in data)):
        raise ValueError(
            f'{path!r} is no dump of a test, which is a list with one dict a '
            'clip; "tools/test.py ... --dump FILE.pkl" writes one')
    return data


def _unpickle(file: IO[bytes], path: str,
              plain: Type[_PlainUnpickler]) -> Any:
    trusted = os.environ.get(TRUST_VARIABLE) == '1'
    try:
        if trusted:
            return pickle.Unpickler(file).load()
        return finish(plain(file).load())
    except RefusedError as error:
        raise ValueError(
            f'{path!r} asks for {error}, which is not plain data '
            f'({plain.plain}). Loading it could run code from '
            'whoever made the file, so it was not loaded. If you made it '
            'yourself, write the arrays with numpy, or set '
            f'{TRUST_VARIABLE}=1 to load it all the same') from None
    except ImportError:
        raise  # only a trusted file imports: it needs a package not installed
    except Exception as error:
        # a damaged pickle raises nearly anything, see the docs of `pickle`
        raise ValueError(_why_unreadable(file, path, error)) from error


def _why_unreadable(file: IO[bytes], path: str, error: Exception) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(24)
    if not head:
        return f'{path!r} is empty (0 bytes): fetch or make it again'
    if head[0] != pickle.PROTO[0]:
        return (f'{path!r} is not a pickle: it begins with {head!r}. An '
                'error page or a Git LFS pointer saved under this name looks '
                'like that; fetch or make the file again')
    return (f'{path!r} is cut off or damaged: reading its {size} bytes ended '
            f'in {type(error).__name__}: {error}. Compare its size with that '
            'of the source and fetch or make it again')


def _check_structure(data: Any, path: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(
            f'{path!r} holds a {type(data).__name__}, but a pose pickle is a '
            "dict with the keys 'split' and 'annotations'")
    for key, kind in (('split', dict), ('annotations', list)):
        if key not in data:
            raise ValueError(
                f'{path!r} has no {key!r}, only {sorted(map(str, data))}: it '
                'is not an MMAction2 pose pickle. data/README.md describes '
                'the format and the command that writes it')
        if not isinstance(data[key], kind):
            raise ValueError(
                f'{key!r} of {path!r} is a {type(data[key]).__name__}, it '
                f'must be a {kind.__name__}')
    strays = [i for i, x in enumerate(data['annotations'])
              if not isinstance(x, dict)]
    if strays:
        raise ValueError(
            f'annotation {strays[0]} of {path!r} is a '
            f"{type(data['annotations'][strays[0]]).__name__}, each must be "
            "a dict with 'frame_dir', 'keypoint' and 'total_frames'")
