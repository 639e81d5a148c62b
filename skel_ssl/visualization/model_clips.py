# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A config's model and clips, for pictures."""
import copy
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmengine.structures import BaseDataElement

from skel_ssl.datasets.layouts import get_layout
from skel_ssl.datasets.seeded_sampler import (
    SeededIndex,
    isolated_random,
    sample_seed,
)
from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import DATASETS, MODELS

from .cameras import guess_up
from .clip_sources import spread
from .pipeline_steps import innermost
from .samples import BodyView, annotate, read_clip

_PREVIEW = 8  # clips by which up is found out


def build_dataset(cfg: Config, augment: bool = False) -> Any:
    """The training set of a config, bodies as they are unless asked for.

    Args:
        cfg (Config): With ``train_dataloader``, and perhaps
            ``augmentations``, types of the transforms to leave out.
        augment (bool): Whether to keep these.

    Raises:
        ValueError: If there is no training set.
    """
    if not cfg.get('train_dataloader'):
        raise ValueError(f'{cfg.filename} has no train_dataloader, so no '
                         'clips to draw')
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    if not augment:
        _leave_out(dataset, cfg.get('augmentations', ()))
    return DATASETS.build(dataset)


def _leave_out(dataset: dict, types: Sequence[str]) -> None:
    """Remove transforms, also from the datasets that one wraps, in place."""
    if 'pipeline' in dataset:
        dataset['pipeline'] = [t for t in dataset['pipeline']
                               if t['type'] not in types]
    inner = [dataset['dataset']] if 'dataset' in dataset else []
    for part in [*inner, *dataset.get('datasets', ())]:
        _leave_out(part, types)


def class_names(dataset: Any) -> Sequence[str]:
    """Names of the classes; none if the dataset does not know them."""
    return list(innermost(dataset)[0].metainfo.get('classes') or ())


def read_clips(dataset: Any,
               indices: Sequence[int],
               seed: int = 0,
               collate: Callable = pseudo_collate) -> Dict[str, Any]:
    """A batch of clips, the same ones with the same masks for one seed.

    Args:
        dataset (Any): The dataset.
        indices (Sequence[int]): Which clips.
        seed (int): Seed of a run, in whose first epoch the clips are looked
            at.
        collate (Callable): Makes a batch.
    """
    clips = []
    for index in indices:
        number = sample_seed(seed, 0, index)
        # The block is for datasets that do not heed the index's seed.
        with isolated_random(number):
            clips.append(dataset[SeededIndex(index, number)])
    return collate(clips)


def body_view(dataset: Any, **kwargs: Any) -> BodyView:
    """How to look at a dataset's clips; which way is up by some of them.

    Args:
        dataset (Any): The dataset.
        **kwargs: Attributes of :class:`BodyView` that are known.

    Raises:
        ValueError: If its clips are no keypoints.
    """
    view = BodyView.of_dataset(dataset, **kwargs)
    if view.up or view.vectors or view.num_coordinates == 2:
        return view
    some = read_clips(dataset, spread(len(dataset), _PREVIEW))
    clips = [read_clip(inputs, view).keypoint for inputs in some['inputs']]
    body = view.body_of(clips[0].shape[2])
    if body is None:
        return view
    return replace(view, up=guess_up(clips, get_layout(body)))


def load_masked_model(cfg: Config,
                      checkpoint: Optional[str] = None,
                      seed: int = 0) -> MaskedSkeletonModel:
    """The model of a pre-training config, in eval mode.

    Args:
        cfg (Config): The config.
        checkpoint (str, optional): Its weights; None = fresh ones.
        seed (int): Of fresh weights.

    Raises:
        ValueError: If it is no model of masked pre-training, or the
            checkpoint is of another one.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    kind = MODELS.get(cfg.model.type)
    if kind is None or not issubclass(kind, MaskedSkeletonModel):
        raise ValueError(
            f'{cfg.filename} describes a {cfg.model.type}, which hides '
            'nothing: give a pre-training config, such as '
            'configs/skel2vec_ntu60.py')
    with isolated_random(seed):
        model = MODELS.build(cfg.model)
        model.init_weights()
    model.keep_reconstruction = True
    if checkpoint is not None:
        loaded = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location='cpu')
        try:
            model.load_state_dict(loaded.get('state_dict', loaded))
        except RuntimeError as error:
            faults = '\n'.join(
                line.strip()[:300] for line in str(error).splitlines()[1:6])
            raise ValueError(
                f'{checkpoint} is not a checkpoint of the '
                f'{cfg.model.type} of {cfg.filename}:\n{faults}\nUse the '
                'config that it was trained with') from None
    return model.eval()


@torch.no_grad()
def predict(model: BaseModel, batch: Dict[str, Any]) -> List[BaseDataElement]:
    """Data samples of a batch with all that pictures need.

    Args:
        model (BaseModel): In eval mode; of masked pre-training, or any
            recognizer.
        batch (dict): See :func:`read_clips`; its data samples are changed.
    """
    data = model.data_preprocessor(batch, False)
    samples = model(**data, mode='predict')
    if isinstance(model, MaskedSkeletonModel):
        annotate(model, batch['inputs'], samples)
    return samples
