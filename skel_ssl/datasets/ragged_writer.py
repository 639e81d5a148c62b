# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Write a ragged store clip by clip, see :mod:`.ragged_store`."""
import json
import os
import pickle
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from .checks import clip_fault, clip_name, shows_nobody
from .ragged_store import (
    ARRAYS,
    COPY,
    FORMAT,
    HEADER_BYTES,
    IN_STORE,
    INDEX,
    KIND,
    RECORD,
    STORED,
    SUFFIX,
    PathLike,
    RaggedStore,
    encode_persons,
    hash_file,
    npy_header,
)
from .transforms.base import PoseTransform


def write_store(path: PathLike,
                annotations: Iterable[Mapping[str, Any]],
                split: Mapping[str, Sequence[str]],
                normalise: Sequence[PoseTransform] = (),
                dtype: Optional[str] = None,
                source: Optional[Mapping[str, Any]] = None,
                overwrite: bool = False,
                **extra: Any) -> Dict[str, Any]:
    """Write a store.

    The clips are taken one at a time; the memory needed is that of one clip
    and of the index. The folder takes its name when it is complete: until
    then, and after a fault, the name belongs to what had it before.

    A clip that cannot be used (see :func:`~.checks.clip_fault`), that a
    transform refuses, or that has another number of joints or coordinates
    than the first sound clip is left out; the index keeps its name and the
    fault, and :class:`SkeletonDataset` treats it as one in a pickle.

    Args:
        path (str | os.PathLike): The folder, ``NAME.store``.
        annotations (Iterable[Mapping]): The clips; they are not changed.
        split (Mapping[str, Sequence[str]]): The names of each split's clips.
        normalise (Sequence[PoseTransform]): What is to be done to every
            clip, in this order.
        dtype (str, optional): What the keypoints are rounded to at last,
            ``'float32'`` or ``'float16'``. None: they stay as they are.
        source (Mapping, optional): Where the clips are from, for the record.
        overwrite (bool): Whether to replace a store of that name.
        **extra: More entries of the pickle, such as ``classes``.

    Returns:
        dict: What is in ``store.json``.

    Raises:
        ValueError: If the folder may not take that name, a transform is none
            that can be done offline, no clip can be used, the clips are of
            several dtypes, or do not fit into ``dtype``.
        OSError: If the store cannot be written.
    """
    path = Path(path).resolve()
    check_target(path, overwrite)
    settings = [transform.offline_settings() for transform in normalise]
    if None in settings:
        raise ValueError(
            f'{normalise[settings.index(None)]!r} cannot be done offline')
    with _replacing(path) as folder:
        packer = _Packer(folder, normalise, dtype)
        try:
            infos = [packer.add(x) for x in annotations]
        finally:
            files = packer.close()
        if not packer.counts['clips']:
            raise ValueError(
                f'not one of {len(infos)} clips can be used' + ''.join(
                    f'; {clip_name(x)}: {x[IN_STORE]["fault"]}'
                    for x in infos[:1]))
        plain = {name: list(clips) for name, clips in split.items()}
        _write(folder / INDEX,
               pickle.dumps(dict(extra, split=plain, annotations=infos), 4))
        files[INDEX] = {}
        for name, described in files.items():
            described.update(
                bytes=(folder / name).stat().st_size,
                sha256=hash_file(folder / name))
        record = dict(
            kind=KIND,
            format=FORMAT,
            source=source,
            normalised=settings,
            rounded_to=dtype,
            largest_rounding=packer.rounding,
            body=packer.body,
            counts=packer.counts,
            files=files)
        _write(folder / RECORD, json.dumps(record, indent=1).encode())
    return record


def check_target(path: Path, overwrite: bool) -> None:
    """Raise a ValueError if a store may not take this name."""
    if path.suffix != SUFFIX:
        raise ValueError(f'{str(path)!r}: the name of a store ends in '
                         f'{SUFFIX!r}')
    if not path.parent.is_dir():
        raise ValueError(f'there is no folder {str(path.parent)!r} to write '
                         f'{path.name!r} into')
    if not path.exists():
        return
    if not overwrite:
        raise ValueError(f'{str(path)!r} exists; give another name, or '
                         'replace it with --overwrite')
    try:
        RaggedStore(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f'{str(path)!r} is not replaced, since it is not a sound store '
            f'({error}); delete it by hand, or give another name') from None


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary folder, which takes a name when all went well.

    No folder can take the name of another one in a single step: a store that
    is replaced is out of the way for a moment, under the name ``old``.
    """
    folder, old = (path.with_name(f'.{path.name}.{os.getpid()}.{what}')
                   for what in ('tmp', 'old'))
    folder.mkdir()
    try:
        yield folder
        if path.exists():
            os.replace(path, old)
        os.replace(folder, path)
        if old.exists():
            shutil.rmtree(old)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class _Rows:
    """An ``.npy`` file that grows row by row."""

    def __init__(self, path: Path, dtype: np.dtype,
                 row_shape: Tuple[int, ...]) -> None:
        self.count = 0
        self.dtype = dtype
        self.row_shape = row_shape
        self._file = path.open('w+b')
        self._file.write(bytes(HEADER_BYTES))

    def append(self, rows: np.ndarray) -> int:
        """Append (n, ...) rows; returns the number of the first."""
        start = self.count
        self._file.write(np.ascontiguousarray(rows, self.dtype))
        self.count += len(rows)
        return start

    def close(self) -> Dict[str, Any]:
        """Complete the file; returns what the record says of it."""
        shape = (self.count, *self.row_shape)
        with self._file as file:
            file.seek(0)
            file.write(npy_header(self.dtype, shape))
            file.flush()
            os.fsync(file.fileno())
        return dict(dtype=self.dtype.str, shape=shape)


class _Packer:
    """Puts clips into the arrays of a store that is being written."""

    def __init__(self, folder: Path, normalise: Sequence[PoseTransform],
                 dtype: Optional[str]) -> None:
        self.body: Optional[List[int]] = None
        self.rounding = 0.
        self.counts = dict.fromkeys(
            ('clips', 'faulty', 'frames', 'persons', 'absent', 'copies'), 0)
        self._folder = folder
        self._normalise = normalise
        self._dtype = dtype
        self._rows: Dict[str, _Rows] = {}

    def add(self, annotation: Mapping[str, Any]) -> Dict[str, Any]:
        """Store a clip; returns its annotation for the index."""
        clip = dict(annotation)
        fault = clip_fault(clip) or self._normalise_clip(clip)
        if fault is None:
            body = [*map(int, clip['keypoint'].shape[2:])]
            self.body = self.body or body
            if body != self.body:
                fault = (f'has {body[0]} joints of {body[1]} coordinates, '
                         f'the store {self.body[0]} of {self.body[1]}')
        if fault is None:
            entry = self._store(clip)
        else:
            self.counts['faulty'] += 1
            entry = dict(fault=fault)
        for name in ARRAYS:
            clip.pop(name, None)
        clip[IN_STORE] = entry
        return clip

    def close(self) -> Dict[str, Dict[str, Any]]:
        return {f'{name}.npy': rows.close()
                for name, rows in self._rows.items()}

    def _normalise_clip(self, clip: Dict[str, Any]) -> Optional[str]:
        try:
            for transform in self._normalise:
                transform(clip)
        except ValueError as error:
            return str(error)
        return None

    def _store(self, clip: Mapping[str, Any]) -> Dict[str, Any]:
        keypoint = self._round(clip)
        score = clip.get('keypoint_score')
        codes = encode_persons(keypoint, score)
        stored = [i for i, code in enumerate(codes) if code == STORED]
        entry = dict(persons=codes, frames=keypoint.shape[1])
        if shows_nobody(clip):
            entry['unseen'] = True
        for name, values in zip(ARRAYS, (keypoint, score)):
            if values is not None:
                rows = values[stored].reshape(-1, *values.shape[2:])
                entry[name] = self._rows_for(name, values, clip).append(rows)
        counts = self.counts
        counts['clips'] += 1
        counts['frames'] += entry['frames']
        counts['persons'] += len(stored)
        counts['copies'] += codes.count(COPY)
        counts['absent'] += sum(code >= 0 for code in codes)
        return entry

    def _round(self, clip: Mapping[str, Any]) -> np.ndarray:
        keypoint = clip['keypoint']
        if self._dtype is None:
            return keypoint
        with np.errstate(over='ignore'):  # said below
            rounded = keypoint.astype(self._dtype)
        wide = np.promote_types(keypoint.dtype, np.float64)
        moved = np.abs(rounded.astype(wide) - keypoint).max()
        if not np.isfinite(moved):
            raise ValueError(
                f'clip {clip_name(clip)!r}: {np.abs(keypoint).max()} does '
                f'not fit into {self._dtype}')
        self.rounding = max(self.rounding, float(moved))
        return rounded

    def _rows_for(self, name: str, values: np.ndarray,
                  clip: Mapping[str, Any]) -> _Rows:
        dtype = values.dtype.newbyteorder('<')
        if name not in self._rows:
            self._rows[name] = _Rows(self._folder / f'{name}.npy', dtype,
                                     values.shape[2:])
        rows = self._rows[name]
        if dtype != rows.dtype:
            way_out = ('give --dtype float32'
                       if name == ARRAYS[0] else 'write them alike')
            raise ValueError(
                f'clip {clip_name(clip)!r} has {name!r} in {dtype}, the '
                f'clips before it in {rows.dtype}; a store has one: '
                f'{way_out}')
        return rows
