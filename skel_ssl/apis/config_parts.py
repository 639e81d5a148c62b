# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a config says about the clips that its model takes."""
import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from mmengine.config import Config

from skel_ssl.datasets import SkeletonDataset
from skel_ssl.datasets.layouts import LayoutLike, SkeletonLayout, get_layout
from skel_ssl.registry import DATASETS

ConfigLike = Union[str, os.PathLike, Config]


@dataclass(frozen=True)
class ClipSettings:
    """The clips that a model takes, and how they are made ready.

    Attributes:
        pipeline (list[dict]): The transforms, without augmentation.
        layout (SkeletonLayout, optional): The body, if the config names it.
        coordinates (int, optional): 2 or 3, None if it cannot be known.
        max_persons (int, optional): The most persons of a clip, None: any.
        img_shape (tuple[int, int], optional): Height and width that images
            are taken to have where a clip does not say it; None: it does not
            matter.
    """
    pipeline: List[dict]
    layout: Optional[SkeletonLayout]
    coordinates: Optional[int]
    max_persons: Optional[int]
    img_shape: Optional[Tuple[int, int]]


def read_config(config: ConfigLike,
                cfg_options: Optional[Mapping[str, Any]] = None) -> Config:
    """A config of one's own to change, from a file or another config.

    Args:
        config (str | os.PathLike | Config): A config file, or a config,
            which is not changed.
        cfg_options (Mapping, optional): Settings to override.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If ``config`` is something else.
    """
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
    elif isinstance(config, (str, os.PathLike)):
        if not Path(config).is_file():
            raise FileNotFoundError(
                f'there is no config {os.fspath(config)!r}; relative paths '
                f'start at the working directory, {os.getcwd()!r}')
        cfg = Config.fromfile(config)
    else:
        raise TypeError('config must be a path or a Config, not a '
                        f'{type(config).__name__}')
    if cfg_options:
        cfg.merge_from_dict(dict(cfg_options))
    return cfg


def find_dataset(cfg: Config, parts: Sequence[str]) -> Optional[dict]:
    """The data set of the first data loader that there is.

    Args:
        cfg (Config): The config.
        parts (Sequence[str]): ``'train'``, ``'val'``, ``'test'``.

    Returns:
        dict, optional: A copy of its settings, those of wrappers taken off.
    """
    loaders = (cfg.get(f'{part}_dataloader') for part in parts)
    loader = next((x for x in loaders if x), None)
    if loader is None:
        return None
    dataset = copy.deepcopy(dict(loader['dataset']))
    while 'dataset' in dataset and 'pipeline' not in dataset:
        dataset = dict(dataset['dataset'])
    return dataset


def read_clip_settings(cfg: Config,
                       backbone: Any,
                       parts: Sequence[str] = ('test', 'val')
                       ) -> ClipSettings:
    """The pipeline without augmentation, and what it asks of a clip.

    A config of a pre-training has no loaders to test; its data set's
    ``val_pipeline`` is taken.

    Args:
        cfg (Config): The config.
        backbone (nn.Module): Its backbone, for what the data leave open.
        parts (Sequence[str]): Whose pipeline, the first that there is.

    Raises:
        ValueError: If there is no such pipeline.
    """
    dataset = find_dataset(cfg, parts)
    if dataset is None:
        dataset = find_dataset(cfg, ['train']) or {}
        if not cfg.get('val_pipeline'):
            raise ValueError(
                f'{cfg.filename} has neither a {parts[0]}_dataloader, nor a '
                f'{parts[1]}_dataloader, nor a "val_pipeline": how clips are '
                'made ready for the model is not known. Use a config of '
                'configs/benchmarks for the same data')
        dataset['pipeline'] = cfg.val_pipeline
    pipeline = [dict(step) for step in dataset['pipeline']]
    layout, max_persons = dataset.get('layout'), None
    if _checks_clips(dataset):
        layout = dataset.get('layout', 'ntu25')
        max_persons = dataset.get('max_persons', 2)
    return ClipSettings(
        pipeline, None if layout is None else get_layout(layout),
        _count_coordinates(pipeline, backbone),
        _count_persons(pipeline, max_persons), _image_shape(pipeline))


def split_dataset(cfg: Config, split: str) -> dict:
    """The data set of a split, without augmentation.

    Args:
        cfg (Config): The config.
        split (str): ``'train'`` or ``'val'``; a config without a
            ``val_dataloader`` gives that of its ``test_dataloader``.

    Raises:
        ValueError: If the config has no such data, or no pipeline for it.
    """
    parts = ['train'] if split == 'train' else ['val', 'test']
    dataset = find_dataset(cfg, parts)
    if dataset is None:
        raise ValueError(
            f'{cfg.filename} has no {parts[0]}_dataloader: pre-training has '
            'no evaluation loop; use a config of configs/benchmarks/linear')
    settings = read_clip_settings(cfg, None, ('val', 'test'))
    dataset.update(pipeline=settings.pipeline, test_mode=True)
    return dataset


def check_layout(layout: Optional[LayoutLike],
                 own: Optional[SkeletonLayout]) -> Optional[SkeletonLayout]:
    """The body of a model, held against that which data are said to have.

    Args:
        layout (str | dict | SkeletonLayout, optional): Of the data.
        own (SkeletonLayout, optional): Of the model, if its config names it.

    Raises:
        ValueError: If they are two.
    """
    if layout is None:
        return own
    given = get_layout(layout)
    if own is not None and given.joints != own.joints:
        raise ValueError(
            f'the data are said to be of layout {given.name!r} and the model '
            f'is made for {own.name!r}: nothing turns one into the other; '
            'use a model of the layout of the data, or leave layout out if '
            'they are the same joints under other names')
    return own or given


def _checks_clips(dataset: Dict[str, Any]) -> bool:
    """Whether it is a data set with our defaults."""
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, SkeletonDataset)


def _find_step(pipeline: Sequence[dict], name: str) -> Optional[dict]:
    """The first transform whose name ends like this."""
    kinds = (getattr(t['type'], '__name__', t['type']) for t in pipeline)
    return next((t for kind, t in zip(kinds, pipeline)
                 if kind.endswith(name)), None)


def _count_coordinates(pipeline: Sequence[dict],
                       backbone: Any) -> Optional[int]:
    for number in (2, 3):
        if _find_step(pipeline, f'PreNormalize{number}D') is not None:
            return number
    return getattr(backbone, 'in_channels', None)


def _count_persons(pipeline: Sequence[dict],
                   max_persons: Optional[int]) -> Optional[int]:
    """Not more than FormatGCNInput keeps, which cuts the others off; but any
    number where the data may have any, and are cut in training, too."""
    kept = _find_step(pipeline, 'FormatGCNInput')
    if kept is None or max_persons is None:
        return max_persons
    return min(max_persons, kept.get('num_person', 2))


def _image_shape(pipeline: Sequence[dict]) -> Optional[Tuple[int, int]]:
    step = _find_step(pipeline, 'PreNormalize2D')
    return None if step is None else step.get('img_shape', (1080, 1920))
