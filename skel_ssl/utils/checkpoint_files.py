# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints of MMEngine's runner that no fault can break.

MMEngine 0.10.7 removes an old checkpoint, writes the new one in place, and
overwrites ``last_checkpoint``: a process that is killed meanwhile, or a full
disk, leaves half a file behind, and ``--resume`` picks it up. What is here
takes the place of these functions of MMEngine; :mod:`skel_ssl.compat` puts it
there, so that every project which imports the package has it.
"""
import logging
import os.path as osp
import re
import zipfile
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from .files import PathLike, abandoned, replacing

LAST = 'last_checkpoint'

Method = Callable[..., None]


class AtomicLocalBackend(LocalBackend):
    """MMEngine's backend for local files; a file appears when it is whole.

    What is no regular file, such as ``/dev/null``, is written to as before.
    """

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Write bytes, see MMEngine's ``LocalBackend.put``."""
        if osp.exists(filepath) and not osp.isfile(filepath):
            super().put(obj, filepath)
            return
        path = Path(osp.realpath(filepath))  # a link stays a link
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(obj)

    def put_text(self,
                 obj: str,
                 filepath: PathLike,
                 encoding: str = 'utf-8') -> None:
        """Write text, see MMEngine's ``LocalBackend.put_text``."""
        self.put(obj.encode(encoding), filepath)


# --------------------------------------------------------------------------
# methods of MMEngine's CheckpointHook
# --------------------------------------------------------------------------


def save_checkpoint_with_step(hook: CheckpointHook, runner: Runner, step: int,
                              meta: Dict[str, Any]) -> None:
    """Save a checkpoint, say that it is the last one, remove the oldest.

    In this order; upstream begins with the removal. The checkpoint names the
    one to be removed among those that are kept: if the process is killed
    before it is done, upstream's ``before_train`` does it after a resume.

    Args:
        hook (CheckpointHook): The hook that saves.
        runner (Runner): The runner.
        step (int): The number of the epoch or iteration.
        meta (dict): What to write into the checkpoint's ``meta``.
    """
    outdated = None
    if hook.max_keep_ckpts > 0:
        kept = hook.keep_ckpt_ids
        if not kept or kept[-1] != step:
            runner.message_hub.update_info('keep_ckpt_ids', [*kept, step])
            if len(kept) == hook.max_keep_ckpts:
                outdated = kept[0]
            kept.append(step)  # the oldest drops out
    name = hook.filename_tmpl.format(step)
    hook.last_ckpt = hook.file_backend.join_path(hook.out_dir, name)
    runner.message_hub.update_info('last_ckpt', hook.last_ckpt)
    runner.save_checkpoint(
        hook.out_dir,
        name,
        hook.file_client_args,
        save_optimizer=hook.save_optimizer,
        save_param_scheduler=hook.save_param_scheduler,
        meta=meta,
        by_epoch=hook.by_epoch,
        backend_args=hook.backend_args,
        **hook.args)
    if not is_main_process():
        return
    with replacing(osp.join(runner.work_dir, LAST)) as temporary:
        temporary.write_text(str(hook.last_ckpt))
    if outdated is not None:
        _remove(
            hook.file_backend,
            hook.file_backend.join_path(hook.out_dir,
                                        hook.filename_tmpl.format(outdated)))


def removing_afterwards(save: Method) -> Method:
    """Let ``_save_best_checkpoint`` save the new one, then remove the old.

    Args:
        save (Callable): MMEngine's method, which removes first.
    """

    @wraps(save)
    def wrapped(hook: CheckpointHook, *args: Any, **kwargs: Any) -> None:
        backend = hook.file_backend
        hook.file_backend = later = _RemovesLater(backend)
        try:
            save(hook, *args, **kwargs)
        finally:
            hook.file_backend = backend
        best = [
            getattr(hook, 'best_ckpt_path', None),
            *getattr(hook, 'best_ckpt_path_dict', {}).values()
        ]
        for path in later.outdated:
            if path not in best:
                _remove(backend, path)

    return wrapped


def removing_abandoned(before_train: Method) -> Method:
    """Let ``before_train`` remove what killed processes began to write.

    Args:
        before_train (Callable): MMEngine's method.
    """

    @wraps(before_train)
    def wrapped(hook: CheckpointHook, runner: Runner) -> None:
        before_train(hook, runner)
        if not is_main_process():
            return
        for folder in {Path(runner.work_dir), Path(hook.out_dir)}:
            for path in abandoned(folder):
                runner.logger.info(f'removed {str(path)!r}, which a process '
                                   'that was killed had begun to write')
                path.unlink(missing_ok=True)

    return wrapped


class _RemovesLater:
    """A file backend that only notes what is to be removed."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.outdated: List[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove


def _remove(backend: Any, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):  # DeepSpeed writes folders
        backend.rmtree(path)


# --------------------------------------------------------------------------
# what --resume picks up
# --------------------------------------------------------------------------


def find_latest_checkpoint(path: str) -> Optional[str]:
    """The checkpoint to resume from: the last one, if it is whole.

    ``last_checkpoint`` names it. If that file is gone, was moved with its
    folder, or is damaged, the newest whole checkpoint before it is taken,
    with a warning that says so.

    Args:
        path (str): The work dir.

    Returns:
        str, optional: The checkpoint; None if the run has saved none.

    Raises:
        FileNotFoundError: If ``last_checkpoint`` names one, and there is no
            whole one.
    """
    record = Path(path, LAST)
    named = record.read_text().strip() if record.is_file() else ''
    if named and not isinstance(get_file_backend(named), LocalBackend):
        return named  # on some server
    if named and is_whole(named):
        return named
    folder = Path(named).parent
    if not named or not folder.is_dir():
        folder = Path(path)
    newest = _number(named)
    for found in _checkpoints(folder):
        number = _number(found.name)
        if newest is not None and number is not None and number > newest:
            continue  # of an earlier run
        if is_whole(found):
            _warn(_story(record, named, f'resuming from {str(found)!r}'))
            return str(found)
        _warn(f'{str(found)!r} is damaged: passed over')
    if named:
        raise FileNotFoundError(
            _story(
                record, named, 'there is no whole checkpoint in '
                f'{str(folder)!r} to resume from instead: copy the missing '
                f'file there, or remove {str(record)!r} to start anew'))
    print_log('Did not find last_checkpoint to be resumed.', logger='current')
    return None


def is_whole(path: PathLike) -> bool:
    """Whether every byte of a checkpoint is as ``torch.save`` wrote it.

    Args:
        path (str | os.PathLike): A file of the zip format of torch >= 1.6,
            in which every part has a checksum. Another file is not whole.
    """
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def _checkpoints(folder: Path) -> List[Path]:
    """The checkpoints of a folder, the newest first."""
    numbered = ((_number(path.name), path) for path in folder.glob('*.pth'))
    found = [(number, path) for number, path in numbered
             if number is not None and path.is_file()]
    return [path for _, path in sorted(found, reverse=True)]


def _number(name: str) -> Optional[int]:
    """The 12 of ``epoch_12.pth``; None for best and published weights."""
    found = re.search(r'(?:^|/)[A-Za-z]+_(\d+)\.pth$', name)
    return int(found[1]) if found else None


def _story(record: Path, named: str, end: str) -> str:
    if not named:
        return f'{str(record)!r} is missing or empty: {end}'
    state = 'is damaged' if osp.isfile(named) else 'does not exist'
    return f'{named!r}, the last checkpoint by {LAST!r}, {state}: {end}'


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
