# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The configs that a suite names, and the data that they name."""
import argparse
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.config import Config

from skel_ssl.datasets.few_labels import hash_clips
from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.ragged_store import RaggedStore, is_store
from skel_ssl.evaluation.feature_cache import hash_object
from skel_ssl.evaluation.feature_source import hash_data
from skel_ssl.utils.cli import OptionsAction, check_option_names

# Where the data lie is no part of what a config says: their hash is.
_PLACES = ('ann_file', 'data_root')


def read_config(path: str, options: Mapping[str, Any]) -> Config:
    """A config with some settings overridden.

    Raises:
        ValueError: If there is no such config or setting.
    """
    if not os.path.isfile(path):
        raise ValueError(f'there is no config {path}')
    cfg = Config.fromfile(path)
    try:
        check_option_names(cfg, options)
        words_of(options)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    cfg.merge_from_dict(dict(options))
    return cfg


def words_of(options: Mapping[str, Any]) -> List[str]:
    """Settings as arguments of ``--cfg-options``.

    Raises:
        ValueError: If a value would not come through as what it is.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs=1, action=OptionsAction)
    words = []
    for name, value in options.items():
        word = f'{name}={_text(value)}'
        found = parser.parse_args(['--cfg-options', word]).cfg_options[name]
        if found != _with_lists(value):
            raise ValueError(
                f'the option {name}={value!r} cannot be given on a command '
                'line: make it a number, a truth value, a name or a list of '
                'these, or write a config of your own')
        words.append(word)
    return words


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(map(_text, value))}]'
    return str(value)


def _with_lists(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_with_lists(x) for x in value]
    return value


def hash_config(cfg: Config) -> str:
    """SHA-256 of all that a config says, but for where the data lie."""
    return hash_object(_without_places(cfg.to_dict()))


def _without_places(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: _without_places(value)
            for key, value in node.items() if key not in _PLACES
        }
    if isinstance(node, (list, tuple)):
        return [_without_places(x) for x in node]
    return node


def data_of(cfg: Config, loader: str) -> Dict[str, Any]:
    """The config of the data set behind a loader, without wrappers.

    Raises:
        ValueError: If the config has no such loader.
    """
    if not cfg.get(loader):
        raise ValueError(f'{cfg.filename} has no {loader}')
    dataset = cfg[loader]['dataset']
    while 'dataset' in dataset and 'ann_file' not in dataset:
        dataset = dataset['dataset']
    return dict(dataset)


@dataclass(frozen=True)
class Clips:
    """The clips of a split.

    Args:
        num_clips (int): How many.
        sha256 (str): Of their names, see :func:`hash_clips`.
    """
    num_clips: int
    sha256: str


class DataFiles:
    """What is in data files; each is read once."""

    def __init__(self) -> None:
        self.hash = lru_cache(None)(self._hash)
        self._read = lru_cache(None)(self._splits)

    @staticmethod
    def path(dataset: Mapping[str, Any]) -> str:
        """The file of a data set's config."""
        path = dataset['ann_file']
        below = os.path.join(dataset.get('data_root') or '', path)
        return below if os.path.exists(below) else path

    def sha256(self, dataset: Mapping[str, Any]) -> str:
        """SHA-256 of the file.

        Raises:
            FileNotFoundError: If it is not there.
        """
        return self.hash(self.path(dataset))

    def clips(self, dataset: Mapping[str, Any],
              splits: Optional[Sequence[str]]) -> Clips:
        """The clips of some splits of a file.

        Raises:
            FileNotFoundError: If the file is not there.
            ValueError: If it has no such split.
        """
        path = self.path(dataset)
        self.hash(path)  # says what to do if it is not there
        found = self._read(path)
        for split in splits or ():
            if split not in found:
                raise ValueError(f'{path} has no split {split!r}, only '
                                 f'{sorted(found)}')
        if splits is not None and len(splits) == 1:
            return found[splits[0]]
        chosen = [found[split] for split in splits or sorted(found)]
        digest = hashlib.sha256('\n'.join(x.sha256 for x in chosen).encode())
        return Clips(sum(x.num_clips for x in chosen), digest.hexdigest())

    @staticmethod
    def _hash(path: str) -> str:
        return hash_data(dict(ann_file=path))

    @staticmethod
    def _splits(path: str) -> Dict[str, Clips]:
        content = (RaggedStore(path).load_index()
                   if is_store(path) else load_annotations(path))
        return {
            name: Clips(len(names), hash_clips(names))
            for name, names in content['split'].items()
        }
