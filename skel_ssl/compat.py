# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Guarded shims for what is broken in released upstream packages.

One shim is one function. It looks whether upstream is broken here, repairs
it if so, and returns whether it had to: on a healthy upstream it changes
nothing. :func:`apply` runs those that must be in place before
``mmaction.models`` is imported or a checkpoint is read or written.
"""
import importlib
import importlib.metadata
import importlib.util
import os
import os.path as osp
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
import torch.distributed
from mmengine.device import get_device
from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.backends.registry_utils import prefix_to_backends
from mmengine.hooks import CheckpointHook
from mmengine.runner import CheckpointLoader
from mmengine.utils import package_utils


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
# mmengine's loader: torch >= 2.6 refuses what mmengine's own Runner writes,
# and before it runs whatever a checkpoint holds
# --------------------------------------------------------------------------


def load_local_checkpoints_safely() -> bool:
    """Let mmengine read back from disk what it wrote, and nothing worse.

    ``torch.load`` of torch >= 2.6 refuses every checkpoint of mmengine's
    Runner, for its logs (mmengine#1655); before, mmengine runs whatever code
    is in a file.
    :func:`skel_ssl.utils.checkpoint_loading.load_from_local` then takes the
    place of mmengine's loader of local files; a loader that somebody else
    has put there stays.

    Returns:
        bool: Whether the loader was replaced.
    """
    from skel_ssl.utils.checkpoint_loading import load_from_local
    current = CheckpointLoader._schemes['']
    if current is not mmengine_checkpoint.load_from_local:
        return False
    CheckpointLoader.register_scheme(
        prefixes='', loader=load_from_local, force=True)
    return True


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
