# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints of torch and mmengine, read without running what they hold."""
import contextlib
import logging
import os
import os.path as osp
import pickle
import pickletools
import re
import zipfile
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from packaging.version import Version

from .checkpoint_unpickler import load_with_names
from .pickled_arrays import NUMPY_GLOBALS, finish

TRUST_VARIABLE = 'SKEL_SSL_TRUST_CHECKPOINT'

# What torch's unpickler raises for opcodes that no pickler writes.
_SENSELESS = (LookupError, TypeError, AttributeError, AssertionError,
              RecursionError)

Names = Mapping[str, Callable]


class UnsafeCheckpointError(pickle.UnpicklingError):
    """A checkpoint asks for more than weights and training state."""


class DamagedCheckpointError(RuntimeError):
    """A checkpoint is truncated, or is none at all."""


def load_from_local(filename: str,
                    map_location: Any = None,
                    also: Optional[Names] = None) -> Any:
    """Load a local checkpoint without running code that it brings along.

    Args:
        filename (str): Path of the checkpoint; ``~`` is expanded.
        map_location: As in :func:`torch.load`.
        also (Mapping[str, Callable], optional): What more it may call, by
            the name in the file, such as ``'argparse.Namespace'``.

    Returns:
        Any: What the file holds, a dict for mmengine's checkpoints.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedCheckpointError: If the file is truncated or is no
            checkpoint.
        UnsafeCheckpointError: If the file refers to anything beyond tensors,
            plain containers, numpy numbers and mmengine's log buffers, and
            ``SKEL_SSL_TRUST_CHECKPOINT=1`` is not set.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'there is no checkpoint file {filename!r}; relative paths start '
            f'at the working directory, {os.getcwd()!r}')
    try:
        loaded = _load_with_names(
            path, map_location, {**_SAFE_NAMES, **(also or {})})
        return finish(loaded, objects=(HistoryBuffer, ))
    except Exception as error:
        if _is_damaged(path, error):
            raise DamagedCheckpointError(
                f'the checkpoint {filename!r} ({osp.getsize(path)} bytes) is '
                'truncated, or is no file written by torch.save: copy or '
                'download it again') from error
        if not isinstance(error, pickle.UnpicklingError):
            raise
        offender = _offending_global(error)
        if os.environ.get(TRUST_VARIABLE) != '1':
            raise UnsafeCheckpointError(
                f'the checkpoint {filename!r} was not loaded, because it '
                f'needs {offender}, and such a file can run any code. If '
                'you trust where it comes from, set the environment variable '
                f'{TRUST_VARIABLE}=1') from error
    print_log(
        f'{TRUST_VARIABLE}=1: loading {filename!r} with whatever code it '
        f'brings along; it needs {offender}',
        logger='current',
        level=logging.WARNING)
    return torch.load(path, map_location=map_location, weights_only=False)


def _load_with_names(path: str, map_location: Any, names: Names) -> Any:
    if torch_takes_names():
        with _allowed(names):
            return torch.load(
                path, map_location=map_location, weights_only=True)
    return load_with_names(path, map_location, names)


@contextlib.contextmanager
def _allowed(names: Names) -> Iterator[None]:
    """Let ``torch.load(weights_only=True)`` know more names.

    They go before what others have allowed under the same name, and what
    others have allowed is there again afterwards.
    """
    before = torch.serialization.get_safe_globals()
    others = [one for one in before if _name_of(one) not in names]
    ours = [(called, name) for name, called in names.items()]
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*others, *ours])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def torch_takes_names() -> bool:
    """Whether what ``torch.load`` may build can be extended."""
    return Version(torch.__version__) >= Version('2.6')


def _name_of(known: Any) -> str:
    if isinstance(known, tuple):
        return known[1]
    return f'{known.__module__}.{known.__qualname__}'


def _restricted_getattr(owner: Any, name: str) -> Callable:
    """The ``getattr`` of a checkpoint: it reaches six harmless functions.

    pickle writes a method as ``getattr(class, name)``. mmengine stores the
    statistics of a HistoryBuffer and the annealing of a one-cycle schedule
    that way.

    Raises:
        pickle.UnpicklingError: For any other attribute.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    if owner is OneCycleParamScheduler and name in ('_annealing_cos',
                                                    '_annealing_linear'):
        return getattr(OneCycleParamScheduler, name)
    owner = getattr(owner, '__qualname__', type(owner).__qualname__)
    raise pickle.UnpicklingError(f'unsupported GLOBAL {owner}.{name}')


# What a checkpoint of mmengine's Runner refers to beside tensors. NumPy's own
# names would let a file read memory that is not its own.
_SAFE_NAMES: Dict[str, Callable] = {
    **{_name_of(known): known
       for known in (HistoryBuffer, OneCycleParamScheduler)},
    **{f'{module}.getattr': _restricted_getattr
       for module in ('builtins', '__builtin__')},
    **{'.'.join(name): stand_in for name, stand_in in NUMPY_GLOBALS.items()}
}


def _offending_global(error: pickle.UnpicklingError) -> str:
    """The name that torch stumbled over, or all that torch has to say."""
    named = re.search(r'GLOBAL (\S+)', str(error))
    return named.group(1) if named else f'something unusual ({error})'


def _is_damaged(path: str, error: Exception) -> bool:
    """Whether the bytes, and not what they ask for, made loading fail."""
    if isinstance(error, _SENSELESS):
        return True
    with open(path, 'rb') as file:
        head = file.read(64)
        if head.startswith(b'PK'):
            return (not zipfile.is_zipfile(path)
                    or 'PytorchStreamReader' in str(error))
        # torch < 1.6 wrote five bare pickles, the first one this number,
        # and then the tensors' bytes
        if torch.serialization.MAGIC_NUMBER.to_bytes(10, 'little') not in head:
            return True
        file.seek(0)
        try:
            for _ in range(5):
                for _ in pickletools.genops(file):  # reads, runs nothing
                    pass
        except ValueError:
            return True
    return 'unexpected EOF' in str(error)
