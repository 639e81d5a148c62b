# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The names of a model's classes, from wherever they are kept."""
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
from mmengine.config import Config

from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.ragged_store import RaggedStore, is_store

from .config_parts import find_dataset

FILE = 'classes.txt'
# Larger pickles are not read for their names alone.
_MOST_BYTES = 256 * 2**20

Classes = Union[str, os.PathLike, Sequence[str]]


def read_class_names(classes: Classes) -> List[str]:
    """Names of the classes, in their order.

    Args:
        classes (str | os.PathLike | Sequence[str]): The names, or a text
            file with one a line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no names.
    """
    if not isinstance(classes, (str, os.PathLike)):
        return [str(name) for name in classes]
    path = Path(classes)
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no file {os.fspath(classes)!r} with the names of the '
            'classes; give one, a name a line')
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not text in UTF-8: {error}') from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError(f'{path} names no class: write a name a line')
    return names


def find_class_names(cfg: Config,
                     meta: Optional[Mapping[str, Any]] = None
                     ) -> Optional[List[str]]:
    """Names of the classes, from the first place that knows them.

    1. the checkpoint's meta (``dataset_meta``),
    2. ``metainfo`` of the config's data set,
    3. ``classes.txt`` beside its ``ann_file``, a name a line,
    4. the ``ann_file`` itself, if it is there and below 256 MiB (a ragged
       store: of any size).

    Args:
        cfg (Config): The config.
        meta (Mapping, optional): ``meta`` of a checkpoint.

    Returns:
        list[str], optional: The names, None if nobody knows them.
    """
    dataset = find_dataset(cfg, ['test', 'val', 'train']) or {}
    for known in ((meta or {}).get('dataset_meta'), dataset.get('metainfo')):
        if isinstance(known, Mapping):
            names = _names(known.get('classes'))
            if names is not None:
                return names
    path = _ann_file(dataset)
    if path is None:
        return None
    if (path.parent / FILE).is_file():
        return read_class_names(path.parent / FILE)
    if is_store(path):
        names = RaggedStore(path).load_index().get('classes')
    elif path.suffix == '.pkl' and path.stat().st_size < _MOST_BYTES:
        names = load_annotations(path).get('classes')
    else:
        names = None
    return _names(names)


def _names(classes: Any) -> Optional[List[str]]:
    """Names that a file brings along; a text is none, nor a path to read."""
    if isinstance(classes, np.ndarray):
        classes = classes.reshape(-1).tolist()
    if not isinstance(classes, (list, tuple)) or not classes:
        return None
    return read_class_names(classes)


def _ann_file(dataset: Dict[str, Any]) -> Optional[Path]:
    """The data set's file, as it looks for it; None if it is not here."""
    if not dataset.get('ann_file'):
        return None
    name = dataset['ann_file']
    for path in (Path(dataset.get('data_root') or '', name), Path(name)):
        if path.exists():
            return path
    return None
