# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Write a pose pickle clip by clip, however large it gets."""
import io
import os
import pickle
from typing import IO, Any, Dict, Iterable, Mapping, Sequence, Set, Union

from skel_ssl.utils.files import replacing

# The newest protocol without frames, which count their bytes in advance.
_PROTOCOL = 3


def write_pose_pickle(path: Union[str, os.PathLike],
                      annotations: Iterable[Dict[str, Any]],
                      split: Mapping[str, Sequence[str]],
                      **extra: Any) -> int:
    """Write ``dict(split=..., annotations=[...], **extra)`` as one pickle.

    It is an ordinary pickle, for ``pickle.load`` and
    :func:`~skel_ssl.datasets.load_annotations`, and the same content gives
    the same bytes. The clips are taken one at a time and each is forgotten
    once written, so the memory needed is that of one clip and of all names.
    The file takes its name when it is complete: until then, and after a
    fault, the name belongs to what had it before.

    Args:
        path (str | os.PathLike): The file; its folder must exist.
        annotations (Iterable[dict]): The clips, each with its unique
            ``frame_dir``. Nothing in them may contain itself.
        split (Mapping[str, Sequence[str]]): The names of each split's clips.
            Clips may be in several splits, or in none.
        **extra: More entries of the dict, such as ``classes``.

    Returns:
        int: The number of clips.

    Raises:
        ValueError: If a clip has no name or that of another one, or a split
            names a clip that is not there.
        OSError: If the file cannot be written.
    """
    with replacing(path) as partial, partial.open('wb') as file:
        names = _write(file, annotations, split, extra)
        _check_splits(split, names)
        file.flush()
        os.fsync(file.fileno())
    return len(names)


def _write(file: IO[bytes], annotations: Iterable[Dict[str, Any]],
           split: Mapping[str, Sequence[str]],
           extra: Mapping[str, Any]) -> Set[str]:
    """The pickle, put together from those of its parts."""
    names: Set[str] = set()
    file.write(pickle.PROTO + bytes([_PROTOCOL]) + pickle.EMPTY_DICT)
    plain = {name: list(clips) for name, clips in split.items()}
    _write_item(file, 'split', _payload(plain))
    _write_item(file, 'annotations', pickle.EMPTY_LIST, end=b'')
    for annotation in annotations:
        names.add(_new_name(annotation, names))
        file.write(_payload(annotation) + pickle.APPEND)
    file.write(pickle.SETITEM)
    for key, value in extra.items():
        _write_item(file, key, _payload(value))
    file.write(pickle.STOP)
    return names


def _write_item(file: IO[bytes],
                key: str,
                payload: bytes,
                end: bytes = pickle.SETITEM) -> None:
    file.write(_payload(key) + payload + end)


def _payload(content: Any) -> bytes:
    """The pickle of an object without its first and last opcode.

    Fast mode writes an object as often as it occurs and refers to nothing
    before, so payloads can follow each other in one pickle, and their bytes
    depend on what is equal, not on what is the same object.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, _PROTOCOL)
    pickler.fast = True
    pickler.dump(content)
    return buffer.getvalue()[2:-1]


def _new_name(annotation: Mapping[str, Any], names: Set[str]) -> str:
    name = annotation.get('frame_dir')
    if not isinstance(name, str):
        raise ValueError(
            f"annotation {len(names)} has {name!r} for its 'frame_dir': a "
            'clip needs a name, by which the splits refer to it')
    if name in names:
        raise ValueError(
            f'two annotations are called {name!r} (the second is number '
            f"{len(names)}): each 'frame_dir' must be unique")
    return name


def _check_splits(split: Mapping[str, Sequence[str]],
                  names: Set[str]) -> None:
    for key, clips in split.items():
        unknown = [clip for clip in clips if clip not in names]
        if unknown:
            raise ValueError(
                f'{len(unknown)} of the {len(clips)} clips in split {key!r} '
                f'are not among the {len(names)} annotations, the first is '
                f'{unknown[0]!r}')
