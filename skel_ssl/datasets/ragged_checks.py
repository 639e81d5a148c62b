# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Whether what a ragged store says of itself can be, see ragged_store."""
import math
from numbers import Integral
from typing import Any, Dict, Mapping, Optional

import numpy as np

# Frames of a clip in which nobody is stored, which no array bears out.
_MOST_FRAMES = 1 << 20


def _is_count(value: Any, least: int = 0) -> bool:
    return (isinstance(value, Integral) and not isinstance(value, bool)
            and int(value) >= least)


def record_fault(record: Mapping[str, Any], index: str,
                 header_bytes: int) -> Optional[str]:
    """Say what is wrong with the content of ``store.json``.

    Args:
        record (Mapping): The content.
        index (str): Name of the index.
        header_bytes (int): Bytes of an array's file before its numbers.

    Returns:
        str, optional: The first fault, None for a sound record.
    """
    body, files = record.get('body'), record.get('files')
    if not isinstance(body, list) or len(body) != 2 or not all(
            _is_count(n, 1) for n in body):
        return f"'body' is {body!r}, not [joints, coordinates]"
    done = record.get('normalised')
    if not isinstance(done, list) or not all(
            isinstance(settings, dict) for settings in done):
        return f"'normalised' is {done!r}, not a list of settings"
    shapes = {'keypoint.npy': body, 'keypoint_score.npy': body[:1]}
    if not isinstance(files, dict) or not (
            {index, 'keypoint.npy'} <= set(files) <= {index, *shapes}):
        return f"'files' are not {index!r} and the arrays"
    for name, described in files.items():
        if (not isinstance(described, dict)
                or not _is_count(described.get('bytes'))
                or not isinstance(described.get('sha256'), str)):
            return f'{name!r} has no size, or no SHA-256'
        if name != index and not _is_array(described, shapes[name],
                                           header_bytes):
            return f'{name!r} is no array of frames of {body}'
    return None


def _is_array(described: Mapping[str, Any], row: list,
              header_bytes: int) -> bool:
    code, shape = described.get('dtype'), described.get('shape')
    try:
        dtype = np.dtype(code if isinstance(code, str) else object)
    except (TypeError, ValueError, SyntaxError):
        return False
    return (dtype.kind in 'fiu' and isinstance(shape, list)
            and all(map(_is_count, shape)) and shape[1:] == row
            and described['bytes'] == header_bytes +
            math.prod(shape) * dtype.itemsize)


def entry_fault(entry: Any, files: Mapping[str, Dict[str, Any]],
                num_coordinates: int, stored: int,
                copy: int) -> Optional[str]:
    """Say what is wrong with what the index says of a clip.

    Args:
        entry (Any): ``in_store`` of the clip's annotation.
        files (Mapping): Of a sound record.
        num_coordinates (int): C.
        stored (int): The code of a person with frames.
        copy (int): The code of a copy of person 0.

    Returns:
        str, optional: The first fault, None for a sound entry.
    """
    if not isinstance(entry, dict):
        return 'has no place in it'
    if 'fault' in entry:
        return None if isinstance(entry['fault'], str) else 'has no fault'
    codes, frames = entry.get('persons'), entry.get('frames')
    known = {stored, copy, *range(1 << min(num_coordinates, 16))}
    if (not isinstance(codes, list) or not codes
            or not all(isinstance(code, int) for code in codes)
            or not known.issuperset(codes) or codes[0] == copy
            or copy in codes and codes[0] != stored):
        return f'has persons of the codes {codes!r}'
    if frames is None or not _is_count(frames, 1):
        return f'has {frames!r} frames'
    count = codes.count(stored)
    if (entry.get('keypoint') is None
            or not count and frames > _MOST_FRAMES):
        return f'has {frames} frames in no place'
    for name, described in files.items():
        start = entry.get(name.rpartition('.')[0])
        if 'shape' in described and start is not None and not (
                _is_count(start)
                and start + count * frames <= described['shape'][0]):
            return (f"has {count} * {frames} frames from {start!r} on, of "
                    f"{described['shape'][0]} in {name!r}")
    if 'keypoint_score' in entry and 'keypoint_score.npy' not in files:
        return 'has scores, which are in no file'
    return None
