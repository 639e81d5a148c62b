# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Guarded shims for what is broken in released upstream packages.

One shim is one function. It looks whether upstream is broken here, repairs
it if so, and returns whether it had to: on a healthy upstream it changes
nothing. :func:`apply` runs those that must be in place before
``mmaction.models`` is imported or a checkpoint is read or written.
"""
import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import os.path as osp
import pickle
import pickletools
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterator, List, Sequence, Tuple, Union

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
import torch.distributed
from mmengine.device import get_device
from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.backends.registry_utils import prefix_to_backends
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader
from mmengine.utils import package_utils
from packaging.version import Version

TRUST_VARIABLE = 'SKEL_SSL_TRUST_CHECKPOINT'

# What torch's unpickler raises for opcodes that no pickler writes.
_SENSELESS = (LookupError, TypeError, AttributeError, AssertionError,
              RecursionError)

SafeGlobal = Union[Callable, Tuple[Callable, str]]


def apply() -> None:
    """Run every import-time shim. Calling it again changes nothing."""
    import_mmcv_quietly()
    stub_missing_drn()
    load_local_checkpoints_safely()
    find_packages_without_pkg_resources()
    save_checkpoints_atomically()


# --------------------------------------------------------------------------
# mmcv-lite warns, at import, of an operator that it comes without
# --------------------------------------------------------------------------


def import_mmcv_quietly() -> bool:
    """Import ``mmcv.cnn.bricks.transformer`` without its one warning.

    MMAction2 imports it, and nothing here needs the operator; mmcv-lite would
    begin the output of every tool with the advice to install mmcv.

    Returns:
        bool: Whether it was imported here.
    """
    name = 'mmcv.cnn.bricks.transformer'
    if name in sys.modules:
        return False
    with warnings.catch_warnings():
        warnings.filterwarnings(
            'ignore', 'Fail to import ``MultiScaleDeformableAttention``')
        importlib.import_module(name)
    return True


# --------------------------------------------------------------------------
# mmaction2 1.2.0 wheels: mmaction/models/localizers/drn was left out
# --------------------------------------------------------------------------


def stub_missing_drn() -> bool:
    """Make ``import mmaction.models`` work on a wheel of mmaction2 1.2.0.

    The wheel lacks the folder ``models/localizers/drn``, which
    ``localizers/__init__.py`` imports (mmaction2#2714). The path is tested,
    because ``find_spec`` would import the broken parent.

    Returns:
        bool: Whether stub modules were inserted.
    """
    package = 'mmaction.models.localizers.drn'
    found = importlib.util.find_spec('mmaction')
    assert found is not None and found.origin is not None
    root = Path(found.origin).parent
    source = root / 'models' / 'localizers' / 'drn' / 'drn.py'
    if source.is_file() or package in sys.modules:
        return False

    from mmaction.registry import MODELS

    class DRN:
        """Stands in for the localizer that this mmaction2 came without."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(
                f'DRN cannot be built: this mmaction2 has no {source}, which '
                'every released wheel lacks. Install mmaction2 from a clone '
                'of its repository with "pip install -e ." to use it')

    DRN.__module__ = f'{package}.drn'
    folder: Any = ModuleType(package)
    folder.__path__ = []
    folder.drn = ModuleType(DRN.__module__)
    folder.drn.DRN = MODELS.register_module(module=DRN)
    sys.modules[package] = folder
    sys.modules[DRN.__module__] = folder.drn
    return True


# --------------------------------------------------------------------------
# torch >= 2.6 refuses the checkpoints that mmengine's own Runner writes
# --------------------------------------------------------------------------


class UnsafeCheckpointError(pickle.UnpicklingError):
    """A checkpoint asks for more than weights and training state."""


class DamagedCheckpointError(RuntimeError):
    """A checkpoint is truncated, or is none at all."""


def load_local_checkpoints_safely() -> bool:
    """Let mmengine read back from disk what it wrote, and nothing worse.

    ``torch.load`` of torch >= 2.6 refuses every checkpoint of mmengine's
    Runner, for its logs (mmengine#1655). :func:`load_from_local` then takes
    the place of mmengine's loader of local files; a loader that somebody
    else has put there stays.

    Returns:
        bool: Whether the loader was replaced.
    """
    current = CheckpointLoader._schemes['']
    if (not _takes_names()
            or current is not mmengine_checkpoint.load_from_local):
        return False
    CheckpointLoader.register_scheme(
        prefixes='', loader=load_from_local, force=True)
    return True


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local checkpoint without running code that it brings along.

    Args:
        filename (str): Path of the checkpoint; ``~`` is expanded.
        map_location: As in :func:`torch.load`.

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
    from skel_ssl.utils.pickled_arrays import NUMPY_GLOBALS, finish
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'there is no checkpoint file {filename!r}; relative paths start '
            f'at the working directory, {os.getcwd()!r}')
    try:
        # NumPy's own names would let a file read memory that is not its own
        with allowing([*_SAFE_GLOBALS, *(
                (stand_in, '.'.join(name))
                for name, stand_in in NUMPY_GLOBALS.items())]):
            loaded = torch.load(
                path, map_location=map_location, weights_only=True)
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


@contextlib.contextmanager
def allowing(names: Sequence[SafeGlobal]) -> Iterator[None]:
    """Let ``torch.load(weights_only=True)`` know more names.

    They go before what others have allowed under the same name, and what
    others have allowed is there again afterwards. torch < 2.6 knows no names
    but its own: there it refuses more files.

    Args:
        names (Sequence): As for ``torch.serialization.add_safe_globals``.
    """
    if not _takes_names():
        yield
        return
    before = torch.serialization.get_safe_globals()
    taken = set(map(_name_of, names))
    others = [one for one in before if _name_of(one) not in taken]
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*others, *names])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _takes_names() -> bool:
    """Whether what ``torch.load`` may build can be extended."""
    return Version(torch.__version__) >= Version('2.6')


def _name_of(known: SafeGlobal) -> str:
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


# What a checkpoint of mmengine's Runner refers to beside tensors and arrays.
_SAFE_GLOBALS: List[SafeGlobal] = [
    HistoryBuffer, OneCycleParamScheduler,
    (_restricted_getattr, 'builtins.getattr')
]


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


# --------------------------------------------------------------------------
# mmengine 0.10.7 writes checkpoints in place and removes old ones before
# --------------------------------------------------------------------------


def save_checkpoints_atomically() -> bool:
    """Let mmengine's checkpoints survive whatever ends the process.

    It is a shim and no hook of another name, so that it holds for every
    config that says ``CheckpointHook``. See
    :mod:`skel_ssl.utils.checkpoint_files`; a backend for local files that
    somebody else has registered stays.

    Returns:
        bool: Whether functions of mmengine were replaced.
    """
    save = CheckpointHook._save_checkpoint_with_step
    if 'open' not in save.__code__.co_names:  # it writes last_checkpoint
        return False
    from skel_ssl.utils import checkpoint_files as ours
    CheckpointHook._save_checkpoint_with_step = ours.save_checkpoint_with_step
    CheckpointHook._save_best_checkpoint = ours.removing_afterwards(
        CheckpointHook._save_best_checkpoint)
    CheckpointHook.before_train = ours.removing_abandoned(
        CheckpointHook.before_train)
    _replace_in_mmengine(mmengine_checkpoint.find_latest_checkpoint,
                         ours.find_latest_checkpoint)
    if prefix_to_backends[''] is LocalBackend:
        register_backend(
            'local', ours.AtomicLocalBackend, force=True, prefixes='')
    return True


# --------------------------------------------------------------------------
# setuptools >= 82 has no pkg_resources, which mmengine 0.10.7 asks
# --------------------------------------------------------------------------


def find_packages_without_pkg_resources() -> bool:
    """Let mmengine find packages where pkg_resources is gone.

    ``_base_ = 'mmaction::...'`` and ``mmengine.hub.get_config`` need it.

    Returns:
        bool: Whether functions of ``mmengine.utils`` were replaced.
    """
    if importlib.util.find_spec('pkg_resources') is not None:
        return False
    replaced = False
    for new in (is_installed, get_installed_path, package2module):
        old = getattr(package_utils, new.__name__)
        if 'pkg_resources' in old.__code__.co_names:  # it imports it
            _replace_in_mmengine(old, new)
            replaced = True
    return replaced


def _replace_in_mmengine(old: Callable, new: Callable) -> None:
    """Replace a function in every mmengine module that has imported it."""
    for name, module in list(sys.modules.items()):
        inside = name.split('.')[0] == 'mmengine'
        if inside and vars(module).get(new.__name__) is old:
            setattr(module, new.__name__, new)


def is_installed(package: str) -> bool:
    """Whether a distribution or a regular package of this name is here."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """The folder of a package, given its name or its distribution's name.

    Args:
        package (str): As in ``mmaction`` or ``mmaction2``. An editable
            install leads to the checkout.

    Raises:
        importlib.metadata.PackageNotFoundError: If it is not installed.
        RuntimeError: If it is a namespace package, which has no one folder.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        module = package2module(package)
        spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RuntimeError(
            f'{package!r} is a namespace package or holds no package, so '
            'there is no one folder that it is installed in')
    return osp.dirname(spec.origin)


def package2module(package: str) -> str:
    """The first module of a distribution, ``mmaction`` for ``mmaction2``.

    Raises:
        importlib.metadata.PackageNotFoundError: If it is not installed.
        ValueError: If the distribution does not name its modules.
    """
    distribution = importlib.metadata.distribution(package)
    modules = (distribution.read_text('top_level.txt') or '').split()
    if not modules:
        raise ValueError(
            f'the distribution {package!r} has no top_level.txt, so the name '
            'of its module is unknown: use the name that you import')
    return modules[0]


# --------------------------------------------------------------------------
# mmengine 0.10.7 calls torch.cuda.set_device even for gloo on a CPU
# --------------------------------------------------------------------------

_RANK_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
            'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def init_dist_without_accelerator(launcher: str) -> bool:
    """Start torch.distributed with gloo where there is only a CPU.

    To be called before the Runner is built, which then leaves the process
    group alone. Where it returns True, the config also needs
    ``model_wrapper_cfg=dict(type='MMDistributedDataParallel',
    device_ids=None)``, as the default wrapper puts the model on a GPU.

    Args:
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
            Ranks come from the variables that torchrun, srun and mpirun set.

    Returns:
        bool: Whether the processes talk over gloo.

    Raises:
        ValueError: If the launcher is unknown.
        RuntimeError: If a variable of the launcher is not set.
    """
    if launcher != 'none' and launcher not in _RANK_VARIABLES:
        raise ValueError(
            f"launcher {launcher!r} is not one of 'none', "
            f'{", ".join(map(repr, _RANK_VARIABLES))}')
    if launcher == 'none' or get_device() != 'cpu':
        return False
    if torch.distributed.is_initialized():
        return True
    for ours, theirs in zip(_RANK_VARIABLES['pytorch'],
                            _RANK_VARIABLES[launcher]):
        os.environ[ours] = _variable_of(launcher, theirs)
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        nodes = _variable_of(launcher, 'SLURM_NODELIST')
        hosts = subprocess.check_output(
            ['scontrol', 'show', 'hostnames', nodes], text=True)
        os.environ['MASTER_ADDR'] = hosts.split()[0]
    _variable_of(launcher, 'MASTER_ADDR')
    os.environ.setdefault('MASTER_PORT', '29500')
    torch.distributed.init_process_group('gloo')
    return True


def _variable_of(launcher: str, name: str) -> str:
    if name not in os.environ:
        raise RuntimeError(
            f'launcher {launcher!r} needs the environment variable {name}, '
            'which is not set: start the processes with torchrun (pytorch), '
            "srun (slurm) or mpirun (mpi), or use launcher 'none'")
    return os.environ[name]
