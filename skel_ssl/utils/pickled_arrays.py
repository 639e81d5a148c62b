# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""NumPy arrays and bytes of a pickle, made without trusting the pickle.

A pickle builds an array, or a dtype, by calling its ``__setstate__`` with
whatever stands in the file, and NumPy believes it: a dtype that lies about
its size makes an array that reads memory that is not its own. So an
unpickler gets stand-ins that check, and :func:`finish` puts arrays in their
place.
"""
import math
import pickle
from typing import Any, Dict, Optional, Tuple, Type, Union

import numpy as np


class RefusedError(pickle.UnpicklingError):
    """The file asks for something that is not on the list."""


def encode(text: str, encoding: str) -> bytes:
    """``_codecs.encode`` as pickle uses it, to write bytes as text."""
    if encoding not in ('latin1', 'latin-1'):
        raise RefusedError(f'_codecs.encode with {encoding!r}')
    return text.encode('latin1')


def make_bytes(content: bytes = b'') -> bytes:
    """``bytes`` of what is there: of a number they are as many zeros."""
    return bytes(_not_a_size(content))


def make_bytearray(content: Union[bytes, str] = b'',
                   encoding: str = 'latin-1') -> bytearray:
    """``bytearray`` of what is there, not of a size."""
    if isinstance(content, str):
        content = encode(content, encoding)
    return bytearray(_not_a_size(content))


def _not_a_size(content: Any) -> Any:
    if not isinstance(content, (bytes, bytearray, list)):
        raise RefusedError(f'bytes of {type(content).__name__}')
    return content


class _DType:
    """Stands in for a dtype while a pickle is read.

    A pickle may set the inside of a dtype as it likes. One of objects that
    says that it is not makes an array whose bytes are taken for pointers, so
    only the byte order is taken over.
    """
    # so it is an element of lists and values of dicts only
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, code: str, align: bool = False,
                 copy: bool = False) -> None:
        self.real = np.dtype(str(code))
        if self.real.kind not in 'biufcSUO' or self.real.shape:
            raise RefusedError(f'an array of type {code}')

    def __setstate__(self, state: Tuple) -> None:
        self.real = self.real.newbyteorder(state[1])


class _Array:
    """Stands in for an array while a pickle is read."""
    __slots__ = ('real', )
    __hash__ = None  # type: ignore[assignment]

    def __setstate__(self, state: Tuple) -> None:
        shape, dtype, fortran, content = state[-4:]
        real_dtype = _real_dtype(dtype)
        # NumPy takes as many objects out of the list as the shape has.
        if real_dtype.hasobject and not (
                type(content) is list and len(content) == math.prod(shape)):
            raise RefusedError(f'an array of shape {shape} of other objects')
        real = np.empty(0, 'b')
        real.__setstate__((1, shape, real_dtype, fortran, content))
        self.real = real


def _real_dtype(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _DType) or not dtype.real.itemsize:
        raise RefusedError('an array of no proper type')
    return dtype.real


def _reconstruct(kind: Type[_Array], shape: Tuple, code: bytes) -> _Array:
    """An array that gets its content afterwards."""
    if kind is not _Array:
        raise RefusedError('an array of no proper class')
    return _Array()


def _scalar(dtype: _DType, content: bytes = b'') -> Any:
    real = _real_dtype(dtype)
    if real.hasobject:
        raise RefusedError('a number that is an object')
    return np.float32(0).__reduce__()[0](real, content)


def _frombuffer(content: bytes, dtype: _DType, *shape: Any) -> np.ndarray:
    return np.empty(1).__reduce_ex__(5)[0](
        content, _real_dtype(dtype), *shape)


# What needs no look, for the sake of speed.
_LEAVES = frozenset([type(None), bool, bytes, float, int, str])


def finish(value: Any, objects: Tuple[type, ...] = (),
           seen: Optional[Dict[int, Any]] = None) -> Any:
    """Put arrays and dtypes in the place of those that stand in for them.

    Args:
        value (Any): What was read; lists, dicts and arrays are changed.
        objects (tuple[type]): Classes whose attributes are looked through,
            too.
        seen (dict, optional): What became of the values before, by their id,
            with the values, which thus keep it.
    """
    seen = {} if seen is None else seen
    if isinstance(value, objects):
        finish(vars(value), objects, seen)
        return value
    if isinstance(value, (_DType, _Array)):
        done = value.real
        if not isinstance(done, np.ndarray) or not done.dtype.hasobject:
            return done
    elif type(value) in (tuple, list) or isinstance(value, dict):
        done = value
    else:
        return value
    if id(value) in seen:
        return seen[id(value)][0]
    seen[id(value)] = done, value
    if isinstance(done, dict):
        for key, item in done.items():
            if type(item) not in _LEAVES:
                done[key] = finish(item, objects, seen)
        return done
    items = done.flat if isinstance(done, np.ndarray) else done
    items = [item if type(item) in _LEAVES else finish(item, objects, seen)
             for item in items]
    if isinstance(done, tuple):
        done = tuple(items)
        seen[id(value)] = done, value
    elif isinstance(done, list):
        done[:] = items
    else:
        done.flat = items
    return done


# The names in a pickle, by NumPy 1 and 2, and what is called for them. The
# arrays are the running NumPy's own, so that a file of NumPy 1 reads under
# NumPy 2 and the reverse.
NUMPY_GLOBALS: Dict[Tuple[str, str], Any] = {
    ('numpy', 'dtype'): _DType,
    ('numpy', 'ndarray'): _Array,
    **{(f'numpy.{core}.{module}', name): rebuild
       for core in ('core', '_core')
       for module, name, rebuild in (
           ('multiarray', '_reconstruct', _reconstruct),
           ('multiarray', 'scalar', _scalar),
           ('numeric', '_frombuffer', _frombuffer))}
}
