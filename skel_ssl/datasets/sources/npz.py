# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The ``.npz`` files of CTR-GCN and MAMP, such as ``NTU60_CS.npz``.

They hold one protocol: ``x_train`` and ``x_test`` of shape (N, T, M * V * 3),
filled up with zeros after the last frame and for an absent person, and
``y_train`` and ``y_test``, one-hot. There are no names. The arrays are
gigabytes: they are read and written clip by clip.
"""
import os
import zipfile
from pathlib import Path
from typing import (
    IO,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Sequence,
    Tuple,
)

import numpy as np

from .errors import BadFileError
from .npy import read_header, read_member

# Of the file, and of the pickle.
PARTS = (('train', 'train'), ('test', 'val'))


def read_clips(path: Path, num_joints: int) -> Iterator[Dict[str, Any]]:
    """Read the clips, those of the training set first.

    Frames at the end in which nobody is there are cut off, persons who never
    are there are left out. A clip of zeros alone keeps its first frame.

    Args:
        path (Path): The file.
        num_joints (int): V, by which the width is divided into persons.

    Yields:
        dict: ``frame_dir`` (``train_000000`` and so on, the place in the
        file), ``label``, ``total_frames``, ``keypoint`` of shape (M, T, V, 3),
        float32.

    Raises:
        BadFileError: If the file is something else.
        OSError: If it cannot be read.
    """
    with path.open('rb') as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for part, _ in PARTS:
                    yield from _read_part(archive, part, path, num_joints)
        except BadFileError:
            raise
        except Exception as error:  # a damaged one raises nearly anything
            raise BadFileError(
                f'{path} is not an .npz file, or damaged '
                f'({type(error).__name__}: {error}): fetch or make it again'
            ) from None


def _read_part(archive: zipfile.ZipFile, part: str, path: Path,
               num_joints: int) -> Iterator[Dict[str, Any]]:
    what = f'x_{part} of {path}'
    labels = _read_labels(archive, f'y_{part}', path)
    member = _member(archive, f'x_{part}', path)
    with archive.open(member) as file:
        shape, fortran, dtype = _in(what, read_header, file, member.file_size)
        if fortran or dtype.kind != 'f':
            raise BadFileError(
                f'{what} is of type {dtype}{", in Fortran order" * fortran}: '
                'it must hold floating-point numbers in C order')
        _check_shape(shape, len(labels), num_joints, what)
        for i, label in enumerate(labels):
            rows = _read_rows(file, shape[1:], dtype)
            keypoint = _trim(rows, num_joints)
            yield dict(
                frame_dir=f'{part}_{i:06}',
                label=int(label),
                total_frames=keypoint.shape[1],
                keypoint=keypoint)


def _in(what: str, read: Callable, *args: Any) -> Any:
    """Read something, and begin an error with what it is."""
    try:
        return read(*args)
    except BadFileError as error:
        raise BadFileError(f'{what}: {error}') from None


def _member(archive: zipfile.ZipFile, name: str,
            path: Path) -> zipfile.ZipInfo:
    names = archive.namelist()
    if f'{name}.npy' not in names:
        raise BadFileError(
            f'{path} has no {name}, only {[Path(x).stem for x in names]}: it '
            'must have x_train, y_train, x_test and y_test')
    return archive.getinfo(f'{name}.npy')


def _check_shape(shape: Tuple[int, ...], num_labels: int, num_joints: int,
                 what: str) -> None:
    if len(shape) != 3 or shape[2] % (num_joints * 3) or 0 in shape[1:]:
        raise BadFileError(
            f'{what} has shape {shape}, not (clips, frames, persons * '
            f'{num_joints} joints * 3): is --layout right?')
    if shape[0] != num_labels:
        raise BadFileError(
            f'{what} has {shape[0]} clips, but there are {num_labels} labels')


def _read_labels(archive: zipfile.ZipFile, name: str,
                 path: Path) -> np.ndarray:
    """The classes, (N, ), of one-hot rows or of classes."""
    what = f'{name} of {path}'
    labels = _in(what, read_member, archive,
                 _member(archive, name, path).filename)
    if labels.dtype.kind in 'biuf' and labels.ndim == 2 and labels.size and (
            np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()):
        return labels.argmax(1)
    if labels.dtype.kind in 'iu' and labels.ndim == 1 and (labels >= 0).all():
        return labels
    raise BadFileError(
        f'{what} has shape {labels.shape} and type {labels.dtype}: it must be '
        'one-hot, (clips, classes), or hold whole numbers from 0 on')


def _read_rows(file: IO[bytes], shape: Sequence[int],
               dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    content = file.read(size)
    if len(content) < size:
        raise EOFError('it is cut off')
    return np.frombuffer(content, dtype).reshape(shape)


def _trim(rows: np.ndarray, num_joints: int) -> np.ndarray:
    """(T, M * V * 3) of a clip to (M, T, V, 3), without what is absent."""
    seen = np.flatnonzero(rows.any(1))
    num_frames = 1 + seen[-1] if len(seen) else 1
    keypoint = rows[:num_frames].reshape(num_frames, -1, num_joints, 3)
    with np.errstate(over='ignore'):  # whoever reads infinity refuses it
        keypoint = keypoint.swapaxes(0, 1).astype(np.float32)
    present = keypoint.any((1, 2, 3))
    return np.ascontiguousarray(
        keypoint[present] if present.any() else keypoint[:1])


def make_splits(clips: Iterator[Dict[str, Any]],
                protocol: str) -> Dict[str, List[str]]:
    """Divide clips by where they were: in ``x_train``, or in ``x_test``.

    Args:
        clips (Iterator[dict]): See :func:`read_clips`.
        protocol (str): The splits are ``<protocol>_train`` and ``_val``.
    """
    splits: Dict[str, List[str]] = {f'{protocol}_{s}': [] for _, s in PARTS}
    for clip in clips:
        part = dict(PARTS)[clip['frame_dir'].split('_')[0]]
        splits[f'{protocol}_{part}'].append(clip['frame_dir'])
    return splits


def write_npz(path: Path,
              data: Mapping[str, Any],
              protocol: str,
              num_frames: int = 300,
              num_persons: int = 2) -> Dict[str, int]:
    """Write the clips of one protocol of a pose pickle; names are lost.

    Args:
        path (Path): The file.
        data (Mapping): What :func:`load_annotations` returns. Its clips must
            have labels and 3D joints, of one number.
        protocol (str): Which splits, ``<protocol>_train`` and ``_val``.
        num_frames (int): T. Longer clips are cut at the end.
        num_persons (int): M.

    Returns:
        dict[str, int]: The clips of ``train`` and ``test``, and how many were
        ``cut``.

    Raises:
        ValueError: If there are no such splits, or a clip does not fit.
    """
    clips = {clip['frame_dir']: clip for clip in data['annotations']}
    parts = {part: _clips_of(data, clips, f'{protocol}_{split}')
             for part, split in PARTS}
    num_joints = parts['train'][0]['keypoint'].shape[2]
    for clip in (*parts['train'], *parts['test']):
        _check_clip(clip, num_joints, num_persons)
    num_classes = 1 + max(clip['label'] for clips in parts.values()
                          for clip in clips)
    num_classes = max(num_classes, len(data.get('classes', ())))
    shape = (num_frames, num_persons * num_joints * 3)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with zipfile.ZipFile(partial, 'w') as archive:
            for part, chosen in parts.items():
                _write_part(archive, part, chosen, shape, num_classes)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    counts = {part: len(chosen) for part, chosen in parts.items()}
    counts['cut'] = sum(clip['total_frames'] > num_frames
                        for chosen in parts.values() for clip in chosen)
    return counts


def _clips_of(data: Mapping[str, Any], clips: Mapping[str, Dict[str, Any]],
              split: str) -> List[Dict[str, Any]]:
    if not data['split'].get(split):
        raise ValueError(
            f'the pickle has no split {split!r} with clips in it; it has '
            f'{sorted(data["split"])}')
    return [clips[name] for name in data['split'][split]]


def _check_clip(clip: Mapping[str, Any], num_joints: int,
                num_persons: int) -> None:
    shape = clip['keypoint'].shape
    if shape[2:] != (num_joints, 3) or shape[0] > num_persons:
        raise ValueError(
            f'clip {clip["frame_dir"]!r} has shape {shape}, not (at most '
            f'{num_persons} persons, frames, {num_joints} joints, 3)')
    if 'label' not in clip:
        raise ValueError(f'clip {clip["frame_dir"]!r} has no label')


def _write_part(archive: zipfile.ZipFile, part: str,
                clips: Sequence[Mapping[str, Any]], shape: Tuple[int, int],
                num_classes: int) -> None:
    header = dict(descr='<f4', fortran_order=False, shape=(len(clips), *shape))
    with archive.open(f'x_{part}.npy', 'w', force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for clip in clips:
            persons = clip['keypoint'][:, :shape[0]]
            rows = np.zeros(shape, '<f4')
            for i, person in enumerate(persons):
                flat = person.reshape(len(person), -1)
                first = i * flat.shape[1]
                rows[:len(flat), first:first + flat.shape[1]] = flat
            file.write(rows.tobytes())
    labels = np.eye(num_classes)[[clip['label'] for clip in clips]]
    with archive.open(f'y_{part}.npy', 'w', force_zip64=True) as file:
        np.lib.format.write_array(file, labels)
