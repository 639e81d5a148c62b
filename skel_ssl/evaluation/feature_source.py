# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features of a config's data sets, from a cache where they are there."""
import copy
import os.path as osp
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence

import mmaction
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from rich.progress import Progress
from torch import nn

import skel_ssl
from skel_ssl.datasets.ragged_store import RECORD, is_store
from skel_ssl.registry import DATASETS, MODELS
from skel_ssl.utils.streams import streams_of

from .encoders import Encoder
from .feature_cache import FeatureCache, hash_file, hash_object
from .features import FeatureSet, extract_features


def evaluation_datasets(cfg: Config) -> Dict[str, dict]:
    """Configs of the clips: ``'train'`` and ``'test'``, not augmented, and
    ``'views'``, augmented training clips.

    The test clips are those of ``test_dataloader`` (``val_dataloader`` if
    there is none). The first two get the pipeline of ``val_dataloader``
    (``test_dataloader`` if there is none), the last the ``train_pipeline`` of
    the config (that of ``train_dataloader`` if there is none). Wrappers that
    repeat the training set are taken off.

    Raises:
        ValueError: If the config has no training set, or neither of the
            others, or if the augmented clips are of other streams.
    """
    test = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    plain = cfg.get('val_dataloader') or test
    train = cfg.get('train_dataloader')
    if not train or not test:
        missing = 'train_dataloader' if not train else 'val_dataloader'
        raise ValueError(
            f'{cfg.filename} has no {missing}: evaluate with a config that '
            'trains and tests a recognizer on the same encoder, such as one '
            'of configs/benchmarks/linear')
    # Written out, so that nothing is shared with the config.
    test = copy.deepcopy(
        dict(test['dataset'], pipeline=plain['dataset']['pipeline']))
    train = copy.deepcopy(dict(train['dataset']))
    while 'dataset' in train and 'pipeline' not in train:
        train = dict(train['dataset'])
    views = dict(
        train,
        pipeline=copy.deepcopy(cfg.get('train_pipeline', train['pipeline'])))
    train.update(pipeline=copy.deepcopy(test['pipeline']), test_mode=True)
    given, drawn = (streams_of(x['pipeline']) for x in (train, views))
    if given != drawn:
        raise ValueError(
            f'{cfg.filename}: augmented training clips would be of streams '
            f'{drawn}, the others of {given}. They are made by '
            'train_pipeline and by the pipeline of val_dataloader: give both '
            'the same feats, as --stream does')
    return dict(train=train, test=test, views=views)


def check_test_names(names: Iterable[str]) -> None:
    """Raise a ValueError if a test set has the name of another part."""
    taken = sorted({'train', 'views'} & set(names))
    if taken:
        raise ValueError(f'a test set cannot be called {taken[0]!r}: that is '
                         'what the training clips are called')


def check_test_size(name: str, split: Any, num_clips: int) -> None:
    """Raise a ValueError if a test set has fewer than two clips: figures of
    collapse are of pairs."""
    if num_clips < 2:
        raise ValueError(
            f'the test set {name!r} (split={split!r}) has {num_clips} '
            'clip(s), and an evaluation needs two or more: give it another '
            'split')


def hash_data(dataset: dict) -> str:
    """SHA-256 of the annotation file of a data set's config, or of the
    record of a ragged store, which has those of its files."""
    path = dataset['ann_file']
    root = dataset.get('data_root') or ''
    if not osp.isabs(path) and osp.exists(osp.join(root, path)):
        path = osp.join(root, path)
    if is_store(path):
        path = osp.join(path, RECORD)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'there is no data file {path}: data/README.md says where it '
            'comes from; SKEL_DATA names another folder')
    return hash_file(path)


class FeatureSource:
    """Gives the features of encoders, from the cache where it has them.

    Args:
        cfg (Config): Config of a recognizer and its data.
        persons (str): ``'valid'`` or ``'all'``.
        cache (FeatureCache, optional): None extracts anew each time.
        num_workers (int): Processes that load clips.
        batch_size (int): Clips in a batch.
        tests (dict[str, Sequence[str]], optional): Splits of several test
            sets, parts by these names; None: one, ``'test'``, as the config
            has it.
    """

    def __init__(self,
                 cfg: Config,
                 persons: str = 'valid',
                 cache: Optional[FeatureCache] = None,
                 num_workers: int = 0,
                 batch_size: int = 64,
                 tests: Optional[Mapping[str, Sequence[str]]] = None) -> None:
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        self.cache = cache
        self.persons = persons
        self.device = get_device()
        self._how = dict(num_workers=num_workers, batch_size=batch_size)
        self._preprocessor_cfg = cfg.model.get(
            'data_preprocessor', dict(type='ActionDataPreprocessor'))
        configs = evaluation_datasets(cfg)
        if tests is not None:
            check_test_names(tests)
            test = configs.pop('test')
            configs.update((name, dict(test, split=list(splits)))
                           for name, splits in tests.items())
        self.data = {
            part: dict(
                ann_file=config['ann_file'],
                split=config.get('split'),
                sha256=hash_data(config))
            for part, config in configs.items() if part != 'views'
        }
        self._configs = configs
        self._datasets: Dict[str, BaseDataset] = {}
        self._preprocessor: Optional[nn.Module] = None

    def dataset(self, part: str) -> BaseDataset:
        """The data set of a part, read when it is first needed."""
        if part not in self._datasets:
            self._datasets[part] = DATASETS.build(self._configs[part])
        return self._datasets[part]

    def key(self,
            encoder: Encoder,
            part: str,
            readout: str,
            view: int = 0) -> dict:
        """All that a feature set depends on."""
        where = ('ann_file', 'data_root', 'type')
        settings = self._configs['views' if view else part]
        config = {k: v for k, v in settings.items() if k not in where}
        drawn = dict(view=view) if view else {}
        return dict(
            encoder.key,
            **drawn,
            data=self.data[part]['sha256'],
            dataset=hash_object(config),
            preprocessor=hash_object(self._preprocessor_cfg),
            readout=readout,
            persons=self.persons,
            versions=[skel_ssl.__version__, mmaction.__version__])

    def features(self,
                 encoder: Encoder,
                 part: str,
                 readouts: Sequence[str],
                 progress: Progress,
                 view: int = 0) -> Dict[str, FeatureSet]:
        """Features of one encoder for some read-outs.

        Args:
            encoder (Encoder): The encoder.
            part (str): ``'train'``, or the name of a test set.
            readouts (Sequence[str]): See :func:`pool_tokens`.
            progress (Progress): Shows how far it is.
            view (int): 0: the clips as they are; 1, 2, ...: augmented
                training clips, drawn anew for each number.

        Raises:
            ValueError: See :func:`extract_features`; or if features have to
                be extracted and a test set has fewer than two clips.
        """
        keys = {r: self.key(encoder, part, r, view) for r in readouts}
        found: Dict[str, FeatureSet] = {}
        if self.cache is not None:
            cached = {r: self.cache.load(key) for r, key in keys.items()}
            found = {r: x for r, x in cached.items() if x is not None}
        missing = [r for r in readouts if r not in found]
        if missing:
            made = self._extract(encoder, part, missing, progress, view)
            found.update(made)
            if self.cache is not None:
                for readout, features in made.items():
                    self.cache.save(keys[readout], features)
        return found

    def _extract(self, encoder: Encoder, part: str, readouts: Sequence[str],
                 progress: Progress, view: int) -> Dict[str, FeatureSet]:
        for name, about in self.data.items():
            if name != 'train':
                size = len(self.dataset(name))
                check_test_size(name, about['split'], size)
        dataset = self.dataset('views' if view else part)
        if self._preprocessor is None:
            self._preprocessor = MODELS.build(self._preprocessor_cfg).to(
                self.device)
        encode = encoder.encode
        if isinstance(encode, nn.Module):
            encode.to(self.device)
        bar = progress.add_task(
            f'{encoder.kind} features, {part}{f" view {view}" * (view > 0)}',
            total=len(dataset))
        made = extract_features(
            dataset,
            encode,
            self._preprocessor,
            readouts,
            self.persons,
            on_batch=lambda n: progress.advance(bar, n),
            view=view,
            **self._how)
        progress.remove_task(bar)
        return made
