# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Training on whole batches of persons, from any config."""
from mmaction.models.recognizers import RecognizerGCN
from mmengine.config import Config
from mmengine.device import get_device

from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import MODELS

PLACES = ('workers', 'device')


def use_person_batches(cfg: Config, where: str) -> None:
    """Have ``cfg.train_dataloader`` make whole batches, in place.

    In pre-training its data set becomes a
    :class:`~skel_ssl.datasets.person_batches.person_dataset.PersonDataset`: a
    batch is ``batch_size`` persons, and the last incomplete one of an epoch
    is left out, so that all have the same shape.

    Of a recognizer it becomes a
    :class:`~skel_ssl.datasets.person_batches.clip_dataset.ClipDataset`: a
    batch is ``batch_size`` clips, as ever, and ``cfg.model.data_preprocessor``
    one that takes it.

    Args:
        cfg (Config): A config of pre-training, fine-tuning or a probe.
        where (str): ``'workers'``: the data loader's workers make the batches.
            ``'device'``: the persons lie on the device that trains, and the
            batches are made there by the main process.

    Raises:
        ValueError: If the model is of another kind, or computes absent
            persons, or there is no such place.
    """
    if where not in PLACES:
        raise ValueError(f'person batches are made in {PLACES}, not {where!r}')
    loader = cfg.get('train_dataloader')
    kind = cfg.get('model', {}).get('type')
    model = MODELS.get(kind) if isinstance(kind, str) else kind
    if loader and _is(model, MaskedSkeletonModel):
        name = 'PersonDataset'
        loader.drop_last = True
        _check_preprocessor(cfg)
    elif loader and _is(model, RecognizerGCN):
        name = 'ClipDataset'
        _take_finished_clips(cfg)
    else:
        raise ValueError(
            f'person batches are for pre-training and for RecognizerGCN, and '
            f'the model is {kind}: leave --person-batches out')
    dataset = dict(type=name, dataset=loader.dataset)
    if loader.get('drop_last'):
        dataset['batch_size'] = loader.batch_size
    if where == 'device':
        dataset['device'] = get_device()
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.pin_memory = False
        loader.pop('prefetch_factor', None)
    loader.dataset = dataset
    loader.collate_fn = dict(type='skel_ssl.datasets.finished_batch')


def _is(model: object, kind: type) -> bool:
    return isinstance(model, type) and issubclass(model, kind)


def _check_preprocessor(cfg: Config) -> None:
    """Absent persons are never in these batches, so they cannot be kept."""
    found = cfg.model.get('data_preprocessor') or {}
    if not found.get('skip_empty_persons', True):
        raise ValueError(
            'skip_empty_persons=False computes absent persons, which are in '
            'no batch of persons: set it to True, or leave --person-batches '
            'out')


def _take_finished_clips(cfg: Config) -> None:
    """Give the recognizer a preprocessor for a ``ClipDataset``'s batches."""
    found = cfg.model.setdefault('data_preprocessor',
                                 dict(type='ActionDataPreprocessor'))
    if found.type != 'ActionDataPreprocessor':
        raise ValueError(
            f'person batches replace the ActionDataPreprocessor, and '
            f'model.data_preprocessor is {found.type}: leave '
            '--person-batches out')
    found.type = 'ClipDataPreprocessor'
