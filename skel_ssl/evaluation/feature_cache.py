# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features on disk, found again by what they were made of."""
import dataclasses
import hashlib
import json
import logging
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import numpy as np
from mmengine.logging import print_log
from torch import nn

from .features import FeatureSet


def hash_weights(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, with their names and shapes."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)};'.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def hash_file(path: Union[str, os.PathLike]) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while True:
            block = file.read(1 << 20)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def hash_object(value: Any) -> str:
    """SHA-256 of a config, or of anything else that JSON can write.

    A ``layout`` that is a file counts by what is in it.
    """
    text = json.dumps(_with_layouts(value), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_layouts(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: hash_file(value) if key == 'layout' and _is_file(value) else
            _with_layouts(value)
            for key, value in node.items()
        }
    if isinstance(node, (list, tuple)):
        return [_with_layouts(item) for item in node]
    return node


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and os.path.isfile(value)


class FeatureCache:
    """A folder of feature sets.

    A set is found by its key: the hashes of the weights, of the data and of
    the pipeline, the read-out and whatever else it depends on. The key is
    also inside the file and is compared again when it is read, so features of
    other weights are never used, whatever a file is called. A file that is
    damaged or has another key is made anew, with a warning. Files are written
    under another name first, so none is ever half there.

    Args:
        folder (str | Path): Where the files are; made when needed.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)

    def path(self, key: Dict[str, Any]) -> Path:
        """The file of a key."""
        return self.folder / f'{hash_object(key)[:32]}.npz'

    def load(self, key: Dict[str, Any]) -> Optional[FeatureSet]:
        """The features of a key, or None if they have to be made."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            found = json.loads(str(arrays.pop('key')))
            features = FeatureSet(**arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError,
                zipfile.BadZipFile) as error:
            self._warn(path, f'cannot be read ({error})')
            return None
        if found != json.loads(json.dumps(key)):
            other = [k for k in key if found.get(k) != key[k]]
            self._warn(path, f'is of another {" and ".join(other)}')
            return None
        return features

    def save(self, key: Dict[str, Any], features: FeatureSet) -> None:
        """Keep features under a key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix='.tmp', dir=self.folder)
        try:
            with os.fdopen(handle, 'wb') as file:
                np.savez(
                    file, key=json.dumps(key), **dataclasses.asdict(features))
            os.replace(name, self.path(key))
        except BaseException:
            os.unlink(name)
            raise

    @staticmethod
    def _warn(path: Path, fault: str) -> None:
        print_log(
            f'cached features: {path} {fault}; it is made anew',
            logger='current',
            level=logging.WARNING)
