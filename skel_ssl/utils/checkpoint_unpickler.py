# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints under torch < 2.6, whose own safe loader takes no names.

There ``torch.load(weights_only=True)`` reads bare weights alone, and refuses
what MMEngine's Runner and the public codes write. Here it is the same
``torch.load``, with an unpickler that does as little, and knows more names.
"""
import io
import os
import pickle
from collections import OrderedDict
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, Union

import torch

from .pickled_arrays import encode

_Unpickler: Any = pickle._Unpickler


def load_with_names(path: Union[str, os.PathLike],
                    map_location: Any,
                    names: Mapping[str, Callable]) -> Any:
    """``torch.load`` of a file that may call the names, and nothing else.

    Args:
        path (str | os.PathLike): The file.
        map_location: As in :func:`torch.load`.
        names (Mapping[str, Callable]): What is called for a name, such as
            ``'collections.OrderedDict'``, beside torch's own.

    Raises:
        pickle.UnpicklingError: If the file asks for something else, which the
            message names after the word ``GLOBAL``.
    """
    with open(path, 'rb') as file:
        content = io.BytesIO(file.read())
    if content.getbuffer()[:4] == b'PK\3\4' and 'constants.pkl' in (
            torch._C.PyTorchFileReader(content).get_all_records()):
        raise pickle.UnpicklingError(
            'unsupported GLOBAL torch.jit, being a TorchScript archive')
    content.seek(0)
    # not the path: torch would extract a tar that it is given
    return torch.load(
        content,
        map_location=map_location,
        pickle_module=_pickle_module(names),
        weights_only=False)


def _pickle_module(names: Mapping[str, Callable]) -> ModuleType:
    """What ``torch.load`` wants to be given in place of ``pickle``."""
    from torch._weights_only_unpickler import _get_allowed_globals

    class Unpickler(_NamedUnpickler):
        own = dict(names)
        known = {**_get_allowed_globals(), '_codecs.encode': encode, **own}

    module: Any = ModuleType('named_pickle')
    module.Unpickler = Unpickler
    module.load = lambda file, **settings: Unpickler(file, **settings).load()
    return module


class _Operations(dict):
    """Python's methods for the operations that a checkpoint consists of."""

    def __missing__(self, code: int) -> None:
        raise pickle.UnpicklingError(f'unsupported operation {code}')


class _NamedUnpickler(_Unpickler):
    """Python's unpickler, which does what a checkpoint needs and no more.

    A name outside the list is refused before it is imported. Nothing is
    called but what has a name, and only instances of the classes that the
    caller named, and ordered dicts, get attributes: those of a class or a
    function are everybody's.
    """
    own: Dict[str, Callable] = {}
    known: Dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        if f'{module}.{name}' not in self.known:
            raise _refused('GLOBAL', f'{module}.{name}')
        return self.known[f'{module}.{name}']

    def call(self) -> None:
        args = self.stack.pop()
        function = self.stack[-1]
        if not _is_one_of(function, self.known):
            raise _refused('call of', function)
        self.stack[-1] = function(*args)

    def make(self) -> None:
        args = self.stack.pop()
        kind = self.stack.pop()
        if not isinstance(kind, type) or not _is_one_of(kind, self.own):
            raise _refused('instance of', kind)
        self.append(kind.__new__(kind, *args))

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        kind = type(target)
        if kind is not OrderedDict and not _is_one_of(kind, self.own):
            raise _refused('state of', kind)
        if hasattr(target, '__setstate__'):
            target.__setstate__(state)
        else:
            vars(target).update(state)

    def load_storage(self) -> None:
        name = self.stack.pop()
        if type(name) is not tuple or name[:1] != ('storage', ):
            raise _refused('reference to', name)
        self.append(self.persistent_load(name))

    dispatch = _Operations({
        code[0]: _Unpickler.dispatch[code[0]]
        for code in (
            pickle.PROTO, pickle.STOP, pickle.GLOBAL, pickle.MARK,
            pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
            pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT,
            pickle.BINUNICODE, pickle.SHORT_BINSTRING, pickle.EMPTY_TUPLE,
            pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
            pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS,
            pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS,
            pickle.EMPTY_SET, pickle.BINGET, pickle.LONG_BINGET,
            pickle.BINPUT, pickle.LONG_BINPUT)
    })
    dispatch[pickle.REDUCE[0]] = call
    dispatch[pickle.NEWOBJ[0]] = make
    dispatch[pickle.BUILD[0]] = build
    dispatch[pickle.BINPERSID[0]] = load_storage


def _is_one_of(thing: Any, names: Mapping[str, Any]) -> bool:
    """Whether something has a name; what it is equal to says nothing."""
    return any(thing is known for known in names.values())


def _refused(what: str, thing: Any) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f'unsupported {what} {thing!s:.80}')
