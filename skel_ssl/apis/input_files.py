# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a file of any kind to annotations."""
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Optional

import numpy as np

from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.datasets.pickle_io import load_plain
from skel_ssl.datasets.sources import npz
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.npy import read_npy, read_npz
from skel_ssl.datasets.sources.ntu_persons import select_persons
from skel_ssl.datasets.sources.ntu_skeleton import parse_skeleton
from skel_ssl.datasets.sources.ntu_splits import parse_name
from skel_ssl.datasets.sources.recordings import read_recording

Annotation = Dict[str, Any]


def _read_npy(path: Path,
              layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    return [dict(keypoint=read_npy(path))]


def _read_npz(path: Path,
              layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    found = read_npz(path, ('keypoint', 'keypoint_score', 'img_shape'))
    if 'keypoint' in found:
        return [found]
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).stem for name in archive.namelist()]
    if 'x_train' in names or 'x_test' in names:
        return npz.read_clips(path, _known(layout, path).num_joints)
    raise BadFileError(
        f'it has {names}, but neither "keypoint", as a recording has, nor '
        '"x_train" and "x_test", as the files of CTR-GCN and MAMP have')


def _read_text(path: Path,
               layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    recording = read_recording(path, _known(layout, path))
    found = dict(keypoint=recording.keypoint)
    if recording.score is not None:
        found['keypoint_score'] = recording.score
    return [found]


def _read_pickle(path: Path,
                 layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    content = load_plain(path)
    if isinstance(content, dict) and 'annotations' in content:
        content = content['annotations']
    elif isinstance(content, np.ndarray):
        content = dict(keypoint=content)
    if isinstance(content, dict) and 'keypoint' in content:
        content = [content]
    if not isinstance(content, list) or not all(
            isinstance(x, dict) and isinstance(x.get('keypoint'), np.ndarray)
            for x in content):
        raise BadFileError(
            'it is no pose pickle (a dict with "annotations"), no annotation '
            '(a dict with an array as "keypoint"), no list of these and no '
            'array')
    return content


def _read_skeleton(path: Path,
                   layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    found = dict(keypoint=select_persons(parse_skeleton(path.read_bytes())))
    try:
        found['label'] = parse_name(path.stem).action - 1
    except ValueError:
        pass  # a recording of one's own has no class in its name
    return [found]


def _known(layout: Optional[SkeletonLayout], path: Path) -> SkeletonLayout:
    if layout is None:
        raise BadFileError(
            f'to read a {path.suffix} the layout must be known, and the '
            'config does not name it: give layout=')
    return layout


READERS: Dict[str, Callable[[Path, Optional[SkeletonLayout]],
                            Iterable[Annotation]]] = {
    '.npy': _read_npy,
    '.npz': _read_npz,
    '.pkl': _read_pickle,
    '.pickle': _read_pickle,
    '.json': _read_text,
    '.csv': _read_text,
    '.skeleton': _read_skeleton
}


def read_file(path: Path,
              layout: Optional[SkeletonLayout]) -> Iterable[Annotation]:
    """Read the annotations of a file; no code in it is run.

    - ``.npy``: an array; ``.npz``: one as ``keypoint``, or a file of CTR-GCN
      or MAMP with ``x_train`` and ``x_test``, all of whose clips are read.
    - ``.pkl``: a pose pickle, an annotation, a list of these, or an array.
    - ``.json``, ``.csv``: a recording, see :func:`read_recording`.
    - ``.skeleton``: raw NTU RGB+D; the two bodies that move most, as in
      MMAction2's pickles.

    Args:
        path (Path): The file; its suffix is one of :data:`READERS`.
        layout (SkeletonLayout, optional): The joints that it has.

    Returns:
        Iterable[dict]: Annotations with ``keypoint``; their content is not
        checked. A list if all are in memory.

    Raises:
        BadFileError: If the file cannot be used.
    """
    try:
        return READERS[path.suffix.lower()](path, layout)
    except BadFileError:
        raise
    except ValueError as error:
        raise BadFileError(f'it cannot be read ({error})') from None
