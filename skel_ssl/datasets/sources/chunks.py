# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert many files over several processes, so that a restart goes on.

The files are divided into chunks, and each chunk becomes a part: a small pose
pickle of its own that has its name only once it is complete. What a part
holds depends on its files alone, so it does not matter who made it, or when.
"""
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np

import skel_ssl

from ..pickle_io import load_annotations
from ..pose_writer import write_pose_pickle
from .errors import BadFileError

Fault = Tuple[str, str]
Splits = Dict[str, List[str]]
# Bytes on the disk for a byte of text: parts and result, an eighth each.
_SPACE = 0.25


def convert_files(convert: Callable[[Path], Dict[str, Any]],
                  paths: Sequence[Path],
                  out: Path,
                  split: Callable[[List[str]], Splits],
                  settings: Dict[str, Any],
                  chunk_size: int = 256,
                  workers: int = 1,
                  advance: Callable[[int], Any] = lambda count: None
                  ) -> Tuple[Splits, List[Fault]]:
    """Convert files to one pose pickle; go on where an earlier call stopped.

    The result is the same to the byte for any number of workers and of
    interruptions. Parts are kept in ``<out>.parts``, under a key made of the
    settings and of the files' names, sizes and times, until ``out`` is
    complete. In memory are one clip for each worker, one part, and the names.

    Args:
        convert (Callable[[Path], dict]): Makes the annotation of a file, or
            raises a :class:`BadFileError`. Other processes must be able to
            import it.
        paths (Sequence[Path]): The files, in the order of the result, each
            with a name of its own.
        out (Path): The pickle to write; its folder must exist.
        split (Callable[[list[str]], dict]): Divides the clips, given by name.
        settings (dict): All that the result depends on besides the files; it
            must go into JSON. It becomes the entry ``source`` of the pickle.
        chunk_size (int): Files of a part.
        workers (int): Processes. With 1 it is this one.
        advance (Callable[[int], Any]): Is told how many files are done.

    Returns:
        tuple[dict, list[tuple[str, str]]]: The splits, and the name and fault
        of each file that is left out. If that is all of them, nothing is
        written.

    Raises:
        OSError: If a file cannot be read, or the disk is too small or cannot
            be written to, or a worker was killed.
    """
    everything = out.with_name(f'{out.name}.parts')
    files = []
    for path in paths:
        stat = path.stat()
        files.append((path.name, stat.st_size, stat.st_mtime_ns))
    folder = everything / _key(files, settings, chunk_size)
    parts = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_space(folder, sum(size for _, size, _ in files))
        for part, count in _make_parts(convert, paths, folder, chunk_size,
                                       workers):
            parts.append(part)
            advance(count)
        parts.sort()
        names, faults = _survey(parts)
        splits = split(names)
        if names:
            _join(parts, out, splits, settings)
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(
            f'{error} ({folder}). What is complete stays there, and the same '
            'command goes on from it') from None
    shutil.rmtree(everything)
    return splits, faults


def _make_parts(convert: Callable[[Path], Dict[str, Any]],
                paths: Sequence[Path], folder: Path, chunk_size: int,
                workers: int) -> Iterator[Tuple[Path, int]]:
    """Yield the parts in any order, each with its number of files."""
    tasks = []
    for i in range(0, len(paths), chunk_size):
        part, chunk = folder / f'{i:08d}.pkl', paths[i:i + chunk_size]
        if part.exists():
            yield part, len(chunk)
        else:
            tasks.append((part, chunk))
    make = partial(_make_part, convert)
    if workers == 1:
        yield from map(make, tasks)
    else:
        yield from _distribute(make, tasks, workers)


def _make_part(convert: Callable[[Path], Dict[str, Any]],
               task: Tuple[Path, Sequence[Path]]) -> Tuple[Path, int]:
    part, paths = task
    faults: List[Fault] = []

    def annotations() -> Iterator[Dict[str, Any]]:
        for path in paths:
            try:
                yield convert(path)
            except BadFileError as error:
                faults.append((path.name, str(error)))

    # The list of faults is complete when it is written: at the end.
    write_pose_pickle(part, annotations(), {}, faults=faults)
    return part, len(paths)


def _distribute(make: Callable, tasks: List, workers: int) -> Iterator:
    # Not a fork of this process, which would copy the locks of its threads.
    if 'forkserver' in multiprocessing.get_all_start_methods():
        method = 'forkserver'
        multiprocessing.set_forkserver_preload([__name__])  # shared memory
    else:
        method = 'spawn'
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_follow_parent)
    try:
        for done in as_completed([pool.submit(make, task) for task in tasks]):
            yield done.result()
    except BrokenProcessPool:
        raise OSError(
            f'one of the {workers} workers was ended from outside, perhaps '
            'for want of memory: take fewer') from None
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Let a worker end if its parent is killed; it would wait for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None, 'this runs in a worker'
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    # Ctrl-C is for the parent, which lets the workers finish their chunks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _survey(parts: Sequence[Path]) -> Tuple[List[str], List[Fault]]:
    """The names of all clips, and all faults."""
    names: List[str] = []
    faults: List[Fault] = []
    for part in parts:
        data = load_annotations(part)
        names += [clip['frame_dir'] for clip in data['annotations']]
        faults += data['faults']
    return names, faults


def _join(parts: Sequence[Path], out: Path, splits: Splits,
          settings: Dict[str, Any]) -> None:
    clips = (clip for part in parts
             for clip in load_annotations(part)['annotations'])
    # Half a file is left among the parts, where the next run clears up.
    whole = parts[0].with_name('whole')
    write_pose_pickle(whole, clips, splits, source=settings)
    os.replace(whole, out)


def _key(files: Sequence[Tuple[str, int, int]], settings: Dict[str, Any],
         chunk_size: int) -> str:
    """A name for what exactly these files and settings make."""
    versions = [skel_ssl.__version__, np.__version__]
    content = json.dumps([settings, chunk_size, versions, files],
                         sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _check_space(folder: Path, text_size: int) -> None:
    done = sum(part.stat().st_size for part in folder.iterdir())
    needed = _SPACE * text_size - done
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f'the disk has {free / 1e9:.1f} GB free, but about '
            f'{needed / 1e9:.1f} GB are needed: write to another disk')
