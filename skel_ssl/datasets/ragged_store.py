# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A ragged store: the clips of a pose pickle, memory-mapped from a folder.

``NAME.store/`` holds

- ``keypoint.npy``, (R, V, C), and ``keypoint_score.npy``, (R, V), if there
  are scores: the frames of all persons, clip after clip, person after person;
- ``index.pkl``: the pickle that the store was made of, without these arrays.
  Each annotation says under ``in_store`` where its frames are;
- ``store.json``: what was done to the clips, and sizes and SHA-256 of the
  files. It is written last.

A person who is absent (all zero) or a copy of person 0 has no frames in the
arrays, only a code: see :func:`encode_persons`.
"""
import hashlib
import json
import mmap
import os
import struct
from functools import cache
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from .checks import Fault, clip_fault, clip_name, label_fault
from .pickle_io import load_annotations
from .ragged_checks import entry_fault, record_fault

SUFFIX = '.store'
RECORD = 'store.json'
INDEX = 'index.pkl'
IN_STORE = 'in_store'
ARRAYS = ('keypoint', 'keypoint_score')
KIND, FORMAT = 'skel_ssl ragged store', 1
HEADER_BYTES = 128

# Codes of persons: frames in the arrays, a copy of person 0. From 0 on:
# absent, bit c says that coordinate c is minus zero.
STORED, COPY = -1, -2

# More than an operating system maps around a page that is read.
_WINDOW = 1 << 21

PathLike = Union[str, os.PathLike]


def is_store(path: PathLike) -> bool:
    """Whether a path is meant to be a store: a folder, or named like one."""
    return os.path.isdir(path) or os.fspath(path).endswith(SUFFIX)


def npy_header(dtype: np.dtype, shape: Sequence[int]) -> bytes:
    """The first 128 bytes of an ``.npy`` file, of the same length always."""
    text = repr(
        dict(
            descr=np.lib.format.dtype_to_descr(dtype),
            fortran_order=False,
            shape=tuple(shape)))
    text = text.ljust(HEADER_BYTES - 11) + '\n'
    return (np.lib.format.magic(1, 0) + struct.pack('<H', len(text)) +
            text.encode('ascii'))


def encode_persons(keypoint: np.ndarray,
                   score: Optional[np.ndarray] = None) -> List[int]:
    """Say of each person what has to be stored of it.

    Equal means bit by bit: centring turns the zeros of an absent person into
    minus zeros, and these come back as such.

    Args:
        keypoint (np.ndarray): Shape (M, T, V, C).
        score (np.ndarray, optional): Shape (M, T, V). A person with other
            scores than +0, or than person 0, is stored.

    Returns:
        list[int]: M codes: ``STORED``, ``COPY``, or, of an absent person,
        the sum of ``2**c`` over the coordinates c that are minus zero.
    """
    codes: List[int] = []
    for person, values in enumerate(keypoint):
        parts = [values] if score is None else [values, score[person]]
        code = STORED
        if not values.any() and (score is None or _all_plus_zero(parts[1])):
            minus = np.signbit(values).reshape(-1, values.shape[-1])
            if (minus == minus[0]).all():
                code = int(minus[0] @ (1 << np.arange(minus.shape[1])))
        elif codes and codes[0] == STORED:
            first = [keypoint[0]] if score is None else [
                keypoint[0], score[0]]
            if all(a.tobytes() == b.tobytes() for a, b in zip(first, parts)):
                code = COPY
        codes.append(code)
    return codes


def _all_plus_zero(values: np.ndarray) -> bool:
    return not values.any() and not np.signbit(values).any()


def decode_persons(frames: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """The inverse of :func:`encode_persons`.

    Args:
        frames (np.ndarray): Shape (S, T, V, C) or (S, T, V): the persons
            with the code ``STORED``.
        codes (Sequence[int]): M codes.

    Returns:
        np.ndarray: Shape (M, T, V, C) or (M, T, V), a new array.
    """
    if len(codes) == len(frames):
        return frames.copy()
    clip = np.empty((len(codes), *frames.shape[1:]), frames.dtype)
    stored = iter(frames)
    for person, code in zip(clip, codes):
        if code == STORED:
            person[...] = next(stored)
        elif code == COPY:
            person[...] = clip[0]
        else:
            person[...] = 0
            signed = code.bit_length() if frames.ndim == 4 else 0
            for coordinate in range(signed):
                if code >> coordinate & 1:
                    person[..., coordinate] = -0.0
    return clip


class RaggedStore:
    """Opens a store and reads clips from it.

    The arrays are mapped when a process first reads from them, so a store
    can be handed to any number of workers, forked or spawned. The pages of
    the files are in the page cache once, for all of them; after a read they
    are no longer mapped, so no process grows.

    Opening looks at the sizes and the headers of the files; :meth:`verify`
    looks at every byte.

    Args:
        path (str | os.PathLike): The folder.

    Attributes:
        record (dict): Content of ``store.json``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is not a store, not a whole one, or one of another
            version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        text = self._read_record()
        self.record: Dict[str, Any] = _parse_record(text, self.path)
        self._seal = hashlib.sha256(text).digest()
        self._maps: Dict[str, Tuple[mmap.mmap, np.ndarray]] = {}
        self._look_at_files()

    @property
    def done_offline(self) -> Tuple[Dict[str, Any], ...]:
        """Settings of the transforms that were done, in their order."""
        return tuple(self.record['normalised'])

    def load_index(self) -> Dict[str, Any]:
        """The pickle that the store was made of, without its arrays.

        Returns:
            dict: See :func:`load_annotations`. Each annotation has
            ``in_store`` in place of ``keypoint`` and ``keypoint_score``:
            what :meth:`read` takes.

        Raises:
            ValueError: If a clip has no place in the arrays.
        """
        data = load_annotations(os.path.join(self.path, INDEX))
        files, coordinates = self.record['files'], self.record['body'][1]
        for x in data['annotations']:
            fault = entry_fault(x.get(IN_STORE), files, coordinates, STORED,
                                COPY)
            if fault is not None:
                raise ValueError(
                    f'the store {self.path!r} is damaged: clip '
                    f'{clip_name(x)!r} of {INDEX!r} {fault}. {_AGAIN}')
        return data

    def find_faults(self,
                    annotations: Iterable[Mapping[str, Any]],
                    num_joints: Optional[int] = None,
                    max_persons: Optional[int] = None,
                    require_label: bool = False) -> List[Fault]:
        """:func:`~.checks.find_faults`, without reading the keypoints.

        What it would find in their values was found when the store was
        written, and is in the index.

        Args:
            annotations (Iterable[Mapping]): Annotations of the index.
            num_joints (int, optional): See :func:`~.checks.clip_fault`.
            max_persons (int, optional): Ditto.
            require_label (bool): Ditto.
        """
        faults: List[Fault] = []
        for x in annotations:
            entry = x[IN_STORE]
            fault = entry.get('fault') or _fault_of_size(
                (len(entry['persons']), 1, *self.record['body']),
                num_joints, max_persons)
            if fault is None and require_label:
                fault = label_fault(x)
            if fault is not None:
                faults.append((clip_name(x), fault))
        return faults

    def read(self, entry: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """Read the arrays of a clip.

        Args:
            entry (Mapping): ``in_store`` of its annotation.

        Returns:
            dict: ``keypoint`` (M, T, V, C) and, if it has scores,
            ``keypoint_score`` (M, T, V): arrays of its own, which may be
            changed; the store cannot be.
        """
        codes, frames = entry['persons'], entry['frames']
        count = codes.count(STORED)
        clip = {}
        for name in ARRAYS:
            start = entry.get(name)
            if start is not None:
                mapped, rows = self._map(name)
                stop = start + count * frames
                part = rows[start:stop].reshape(count, frames, *rows.shape[1:])
                clip[name] = decode_persons(part, codes)
                _unmap_pages(mapped, rows.strides[0], start, stop)
        return clip

    def verify(self) -> None:
        """Compare every byte with the SHA-256 that was taken in writing.

        Raises:
            ValueError: If a file has changed since.
        """
        for file, wanted in self.record['files'].items():
            found = hash_file(os.path.join(self.path, file))
            if found != wanted['sha256']:
                raise ValueError(
                    f'{file!r} of the store {self.path!r} has changed: its '
                    f"SHA-256 is {found}, it was {wanted['sha256']}. "
                    + _AGAIN)

    def _read_record(self) -> bytes:
        if not os.path.isdir(self.path):
            raise FileNotFoundError(
                f'there is no store {self.path!r}; looked for the folder '
                f'{os.path.abspath(self.path)!r}. tools/data/make_store.py '
                'makes one of a pose pickle')
        try:
            with open(os.path.join(self.path, RECORD), 'rb') as file:
                return file.read()
        except FileNotFoundError:
            raise ValueError(
                f'the folder {self.path!r} is not a store, or not a whole '
                f'one: it has no {RECORD!r}, only '
                f'{sorted(os.listdir(self.path))[:5]}. {_AGAIN}') from None

    def _look_at_files(self) -> None:
        for file, wanted in self.record['files'].items():
            path = os.path.join(self.path, file)
            size = os.path.getsize(path) if os.path.isfile(path) else None
            if size != wanted['bytes']:
                state = 'is missing' if size is None else f'has {size} bytes'
                raise ValueError(
                    f'the store {self.path!r} is not whole: {file!r} {state}, '
                    f"{RECORD} says {wanted['bytes']} bytes. {_AGAIN}")
            if 'dtype' not in wanted:
                continue
            with open(path, 'rb') as array:
                if array.read(HEADER_BYTES) != npy_header(
                        np.dtype(wanted['dtype']), wanted['shape']):
                    raise ValueError(
                        f'the store {self.path!r} is mixed up: {file!r} is '
                        f"not the {wanted['dtype']} array of shape "
                        f"{wanted['shape']} that {RECORD} describes. {_AGAIN}")

    def _map(self, name: str) -> Tuple[mmap.mmap, np.ndarray]:
        if name not in self._maps:
            if hashlib.sha256(self._read_record()).digest() != self._seal:
                raise ValueError(
                    f'the store {self.path!r} was replaced by another one '
                    'while it was in use: start again')
            file = self.record['files'][f'{name}.npy']
            with open(os.path.join(self.path, f'{name}.npy'), 'rb') as array:
                mapped = mmap.mmap(
                    array.fileno(), 0, access=mmap.ACCESS_READ)
            rows = np.frombuffer(mapped, file['dtype'], offset=HEADER_BYTES)
            self._maps[name] = mapped, rows.reshape(file['shape'])
        return self._maps[name]

    def __getstate__(self) -> Dict[str, Any]:
        return dict(vars(self), _maps={})


def shows_nobody(annotation: Mapping[str, Any]) -> bool:
    """:func:`~.checks.shows_nobody`, for an annotation of a store."""
    return annotation[IN_STORE].get('unseen', False)


def hash_file(path: PathLike) -> str:
    """SHA-256 of a file; 64 digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


_AGAIN = ('Copy it again as a whole, or make it again with '
          'tools/data/make_store.py')


def _parse_record(text: bytes, path: str) -> Dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:  # of the encoding, too
        raise ValueError(f'{RECORD!r} of the store {path!r} is damaged: '
                         f'{error}. {_AGAIN}') from None
    if not isinstance(record, dict) or record.get('kind') != KIND:
        raise ValueError(
            f'the folder {path!r} is not a store: its {RECORD!r} is of '
            'another program')
    if record.get('format') != FORMAT:
        raise ValueError(
            f"the store {path!r} has format {record.get('format')!r}, this "
            f'version of skel_ssl reads format {FORMAT}. Make it again with '
            'tools/data/make_store.py')
    fault = record_fault(record, INDEX, HEADER_BYTES)
    if fault is not None:
        raise ValueError(f'{RECORD!r} of the store {path!r} is damaged: '
                         f'{fault}. {_AGAIN}')
    return record


@cache
def _fault_of_size(shape: Tuple[int, ...], *rules: Any) -> Optional[str]:
    """What a clip of this size is at fault for, whatever its values."""
    clip = dict(frame_dir='', keypoint=np.ones(shape), total_frames=shape[1])
    return clip_fault(clip, *rules)


def _unmap_pages(mapped: mmap.mmap, row_bytes: int, start: int,
                 stop: int) -> None:
    """Let go of the pages around some rows; they stay in the page cache."""
    if stop > start and hasattr(mmap, 'MADV_DONTNEED'):
        first = (HEADER_BYTES + start * row_bytes) // _WINDOW * _WINDOW
        end = -(-(HEADER_BYTES + stop * row_bytes) // _WINDOW) * _WINDOW
        mapped.madvise(mmap.MADV_DONTNEED, first,
                       min(end, len(mapped)) - first)
