# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pickles that want to do something, put together by hand and by pickle."""
import functools
import operator
import os
import pickle
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np


class Calls:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Tuple:
        return self.call


def calls(marker: Path) -> Dict[str, Calls]:
    """Ways to make a file, or to get hold of what makes one."""
    text, shell = str(marker), f'touch {marker}'
    code = f'open({text!r}, "w").close()'
    return {
        'os.system': Calls(os.system, shell),
        'os.mkdir': Calls(os.mkdir, text),
        'os.popen': Calls(os.popen, shell),
        'eval': Calls(eval, code),
        'exec': Calls(exec, code),
        'open': Calls(open, text, 'w'),
        'getattr': Calls(getattr, os, 'system'),
        'import': Calls(__import__, 'os'),
        'run': Calls(subprocess.run, ['touch', text]),
        'Popen': Calls(subprocess.Popen, ['touch', text]),
        'check_output': Calls(subprocess.check_output, ['touch', text]),
        'copy': Calls(shutil.copy, __file__, text),
        'touch': Calls(Path.touch, marker),
        'partial': Calls(functools.partial, os.system, shell),
        'reduce': Calls(functools.reduce, os.system, [shell]),
        'attrgetter': Calls(operator.attrgetter('system'), os),
        'methodcaller': Calls(operator.methodcaller('touch'), marker),
        'map': Calls(list, Calls(map, os.system, [shell])),
        'np.save': Calls(np.save, text, 1),
        'np.savetxt': Calls(np.savetxt, text, [1]),
        'np.fromfile': Calls(np.fromfile, '/dev/zero', 'u1', 9),
        'np.memmap': Calls(np.memmap, text, 'u1', 'w+', 0, (9, )),
        'np.load': Calls(np.load, text),
        'tofile': Calls(np.ndarray.tofile, np.arange(3), text),
        'pickle.loads': Calls(pickle.loads, pickle.dumps(
            Calls(os.mkdir, text))),
    }


def string(text: str) -> bytes:
    return pickle.BINUNICODE + struct.pack('<I', len(text.encode())) + (
        text.encode())


def opcodes(marker: Path) -> Iterator[Tuple[str, bytes]]:
    """Opcodes that call something, none of which pickle itself would write.

    Yields:
        tuple[str, bytes]: Which, and what goes between PROTO and STOP.
    """
    arg = string(f'touch {marker}')
    for module in ('os', 'posix'):
        name = f'{module}\nsystem\n'.encode()
        stack = string(module) + string('system') + pickle.STACK_GLOBAL
        yield f'GLOBAL {module}', (
            b'c' + name + arg + pickle.TUPLE1 + pickle.REDUCE)
        yield f'STACK_GLOBAL {module}', (
            stack + arg + pickle.TUPLE1 + pickle.REDUCE)
        yield f'INST {module}', pickle.MARK + arg + b'i' + name
        yield f'OBJ {module}', pickle.MARK + stack + arg + pickle.OBJ
        yield f'NEWOBJ {module}', stack + arg + pickle.TUPLE1 + pickle.NEWOBJ
        yield f'NEWOBJ_EX {module}', (
            stack + arg + pickle.TUPLE1 + pickle.EMPTY_DICT + pickle.NEWOBJ_EX)
    yield 'dotted', (string('numpy') + string('lib.format.os.system') +
                     pickle.STACK_GLOBAL + arg + pickle.TUPLE1 +
                     pickle.REDUCE)
    yield 'method of an allowed type', (
        string('builtins') + string('dict.__init__.__globals__') +
        pickle.STACK_GLOBAL)
    for size in (1, 2, 4):
        yield f'EXT{size}', bytes([0x81 + size // 2 + 0]) + (
            b'\x01' + bytes(size - 1))
    yield 'PERSID', b'P' + b'os.system\n'
    yield 'BINPERSID', arg + pickle.BINPERSID
    yield 'BUILD of an array', (
        b'cnumpy\nndarray\n' + pickle.EMPTY_TUPLE + pickle.REDUCE + arg +
        pickle.BUILD)


def _bytes(content: bytes) -> bytes:
    """As protocol 2 writes them, the only one that torch reads."""
    return (b'c_codecs\nencode\n' + string(content.decode('latin1')) +
            string('latin1') + pickle.TUPLE2 + pickle.REDUCE)


def _dtype(code: str, state: bytes = b'') -> bytes:
    return (b'cnumpy\ndtype\n' + string(code) + pickle.TUPLE1 +
            pickle.REDUCE + (state and state + pickle.BUILD))


def _dtype_state(flags: int, fields: bytes = b'NN', size: bytes = b'J' +
                 b'\xff' * 4) -> bytes:
    return (pickle.MARK + b'K\x03' + string('|') + b'N' + fields + size +
            b'K\x01' + b'K' + bytes([flags]) + pickle.TUPLE)


def _array(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    return (b'cnumpy.core.multiarray\n_reconstruct\n' + b'cnumpy\nndarray\n' +
            b'K\x00' + pickle.TUPLE1 + _bytes(b'b') + pickle.TUPLE3 +
            pickle.REDUCE + pickle.MARK + b'K\x01' + shape + dtype +
            pickle.NEWFALSE + content + pickle.TUPLE + pickle.BUILD)


def false_arrays() -> Iterator[Tuple[str, bytes]]:
    """Arrays that would read memory that is not theirs, or take all of it.

    The first ones are of Python objects, at addresses that the file chooses.
    """
    pointers = _bytes(struct.pack('<Q', 0x4141414141414141))
    one = b'K\x01' + pickle.TUPLE1
    listed = (b'cbuiltins\nlist\n', pickle.TUPLE1 + pickle.REDUCE)
    objects = (b'cnumpy\nndarray\n' + one + _dtype('O') + pointers +
               pickle.TUPLE3 + pickle.REDUCE)
    yield 'objects in a buffer', listed[0] + objects + listed[1]
    disguised = _dtype('O', _dtype_state(0))
    yield 'objects that do not say so', (
        listed[0] + _array(one, disguised, pointers) + listed[1])
    fields = (pickle.MARK + string('a') + pickle.TUPLE + pickle.EMPTY_DICT +
              string('a') + _dtype('O') + b'K\x00' + pickle.TUPLE2 +
              pickle.SETITEM)
    hidden = _dtype('V8', _dtype_state(0, b'N' + fields[:0] + fields,
                                       b'K\x08')[:-1] + pickle.TUPLE)
    yield 'objects in a field', _array(one, hidden, pointers)
    yield 'an object that is a number', (
        b'cnumpy.core.multiarray\nscalar\n' + _dtype('O') + pointers +
        pickle.TUPLE2 + pickle.REDUCE)
    five = b'K\x05' + pickle.TUPLE1
    yield 'five objects in an empty list', _array(
        five, _dtype('O'), pickle.EMPTY_LIST)
    yield 'five objects in a tuple', _array(
        five, _dtype('O'), pickle.EMPTY_TUPLE)
    huge = pickle.LONG1 + b'\x06' + (10**12).to_bytes(6, 'little')
    yield 'terabytes', (b'cnumpy\nndarray\n' + huge + pickle.TUPLE1 +
                        pickle.TUPLE1 + pickle.REDUCE)
    yield 'terabytes in eight bytes', _array(
        huge + pickle.TUPLE1, _dtype('f8'), pointers)
    yield 'terabytes of objects', _array(
        huge + pickle.TUPLE1, _dtype('O'), pickle.EMPTY_LIST)
    yield 'an endless row of nothing', _array(
        huge + pickle.TUPLE1, _dtype('S0'), _bytes(b''))
    for kind in ('bytes', 'bytearray'):
        yield f'{kind} of a number', (
            f'cbuiltins\n{kind}\n'.encode() + huge + pickle.TUPLE1 +
            pickle.REDUCE)
    yield 'another codec', (b'c_codecs\nencode\n' + string('a') +
                            string('idna') + pickle.TUPLE2 + pickle.REDUCE)


def stretched_array(size: int) -> bytes:
    """A list of a text of eight letters and of what is to be its dtype.

    NumPy would let the state of the second change the length of the first.
    """
    one = b'K\x01' + pickle.TUPLE1
    state = _dtype_state(0, size=b'J' + struct.pack('<i', size))
    array = _array(one, _dtype('S8') + b'q\x05', _bytes(b'A' * 8))
    return (pickle.EMPTY_LIST + pickle.MARK + array + b'h\x05' + state +
            pickle.BUILD + pickle.APPENDS)


def framed(body: bytes) -> bytes:
    """A whole pickle of the opcodes of one object."""
    return b'\x80\x04' + body + b'.'


def in_annotations(body: bytes) -> bytes:
    """A pose pickle with an object beside its annotations."""
    return framed(pickle.EMPTY_DICT + string('split') + pickle.EMPTY_DICT +
                  pickle.SETITEM + string('annotations') + pickle.EMPTY_LIST +
                  pickle.SETITEM + string('more') + body + pickle.SETITEM)


def in_dump(body: bytes) -> bytes:
    """A dump with an object in its only sample."""
    return framed(pickle.EMPTY_LIST + pickle.EMPTY_DICT + string('more') +
                  body + pickle.SETITEM + pickle.APPEND)
