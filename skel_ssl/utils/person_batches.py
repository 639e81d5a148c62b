# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pre-training on whole batches of persons, from any config."""
from mmengine.config import Config
from mmengine.device import get_device

from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import MODELS

PLACES = ('workers', 'device')


def use_person_batches(cfg: Config, where: str) -> None:
    """Have ``cfg.train_dataloader`` make whole batches, in place.

    Its data set becomes a
    :class:`~skel_ssl.datasets.person_batches.dataset.PersonDataset`. A batch
    is then ``batch_size`` persons, and the last incomplete one of an epoch is
    left out, so that all have the same shape.

    Args:
        cfg (Config): A config of pre-training.
        where (str): ``'workers'``: the data loader's workers make the batches.
            ``'device'``: the persons lie on the device that trains, and the
            batches are made there by the main process.

    Raises:
        ValueError: If the config has no pre-training, or there is no such
            place.
    """
    if where not in PLACES:
        raise ValueError(f'person batches are made in {PLACES}, not {where!r}')
    kind = cfg.get('model', {}).get('type')
    model = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(model, type) and issubclass(model, MaskedSkeletonModel)
            and cfg.get('train_dataloader')):
        raise ValueError(
            f'person batches are for pre-training, and the model {kind} is '
            'not one that hides and predicts: leave --person-batches out')
    loader = cfg.train_dataloader
    dataset = dict(
        type='PersonDataset',
        dataset=loader.dataset,
        batch_size=loader.batch_size)
    if where == 'device':
        dataset['device'] = get_device()
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.pin_memory = False
        loader.pop('prefetch_factor', None)
    loader.dataset = dataset
    loader.collate_fn = dict(type='skel_ssl.datasets.finished_batch')
    loader.drop_last = True
