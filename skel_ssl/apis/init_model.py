# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A model from a config and a checkpoint, ready to be used."""
import logging
import os
from typing import Any, Dict, Mapping, Optional, Union

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import nn

from skel_ssl.registry import MODELS
from skel_ssl.utils.streams import check_streams

from .class_names import Classes, find_class_names, read_class_names
from .config_parts import ConfigLike, read_config
from .pretrained import PREFIXES, load_pretrained
from .weights import read_weights

PathLike = Union[str, os.PathLike]


def init_model(config: ConfigLike,
               checkpoint: Optional[PathLike] = None,
               device: Optional[Union[str, torch.device]] = None,
               cfg_options: Optional[Mapping[str, Any]] = None,
               pretrained: Optional[PathLike] = None,
               pretrained_prefix: Optional[str] = None,
               classes: Optional[Classes] = None) -> BaseModel:
    """Build a model in eval mode, as MMAction2's ``init_recognizer`` does.

    It takes recognizers and pre-training models alike. No code runs that a
    checkpoint brings along
    (:func:`skel_ssl.utils.checkpoint_loading.load_from_local`). Every weight
    must have its place: a model that is loaded in part would predict nonsense
    without a word. Without weights the model is initialised as its config
    says.

    Args:
        config (str | os.PathLike | Config): A config file, or a config.
        checkpoint (str | os.PathLike, optional): Weights of the whole model:
            what training with this config saved.
        device (str | torch.device, optional): Where to. None: the best there
            is.
        cfg_options (Mapping, optional): Settings of the config to override,
            with dots in nested keys.
        pretrained (str | os.PathLike, optional): In place of ``checkpoint``:
            weights of a pre-training, for the backbone alone
            (:func:`load_pretrained`). The rest of the model is initialised.
        pretrained_prefix (str, optional): See :func:`load_pretrained`.
        classes (str | os.PathLike | Sequence[str], optional): Names of the
            classes, or a file with one a line. None: see
            :func:`find_class_names`.

    Returns:
        BaseModel: The model, with its config as ``cfg`` and, as
        ``dataset_meta``, a dict that has ``classes`` if their names are
        known.

    Raises:
        FileNotFoundError: If a file is not there.
        TypeError: See :func:`read_config`.
        ValueError: If both ``checkpoint`` and ``pretrained`` are given, a
            weight is missing, left over or of another shape, the names do
            not fit the number of classes, or the config makes another stream
            than the weights were trained on.
    """
    if checkpoint is not None and pretrained is not None:
        raise ValueError(
            f'checkpoint={os.fspath(checkpoint)!r} is for the whole model '
            f'and pretrained={os.fspath(pretrained)!r} for its backbone: '
            'give one of them')
    if pretrained_prefix is not None and pretrained is None:
        raise ValueError(f'pretrained_prefix={pretrained_prefix!r} goes with '
                         'pretrained')
    cfg = read_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    settings = cfg.model.to_dict()
    if checkpoint is not None or pretrained is not None:
        _forget_pretrained(settings)
    model = MODELS.build(settings)
    meta: Dict[str, Any] = {}
    if checkpoint is not None:
        meta = load_whole(model, checkpoint)
        check_streams(cfg, meta, os.fspath(checkpoint))
    else:
        _init_weights(model)
        if pretrained is not None:
            found = load_pretrained(model.backbone, pretrained,
                                    pretrained_prefix)
            check_streams(cfg, found.meta, os.fspath(pretrained))
    model.cfg = cfg
    model.dataset_meta = _dataset_meta(cfg, model, meta, classes)
    return model.to(device or get_device()).eval()


def _forget_pretrained(settings: Dict[str, Any]) -> None:
    """Other weights come: the config's own need not be there."""
    backbone = settings.get('backbone', {})
    init_cfg = backbone.get('init_cfg')
    if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
        backbone['init_cfg'] = None


def _init_weights(model: BaseModel) -> None:
    """Initialise a model without MMEngine's line for every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        model.init_weights()
    finally:
        logger.setLevel(level)


def load_whole(model: nn.Module, checkpoint: PathLike) -> Dict[str, Any]:
    """Load the weights of a whole model, every weight in its place.

    Args:
        model (nn.Module): The model, changed in place.
        checkpoint (str | os.PathLike): A checkpoint file.

    Returns:
        dict: ``meta`` of the checkpoint.

    Raises:
        ValueError: If the file holds no weights, or one is missing, left
            over or of another shape.
    """
    path = os.fspath(checkpoint)
    state_dict, meta = read_weights(path)
    try:
        model.load_state_dict(state_dict, strict=True)
    except RuntimeError as error:
        # The first lines name what is missing, left over or misshapen.
        lines = str(error).splitlines()[1:6]
        faults = '\n'.join(line.strip()[:300] for line in lines)
        if any(name.startswith(PREFIXES[0]) for name in state_dict) or not any(
                name.startswith('cls_head.') for name in state_dict):
            hint = 'It looks like a pre-training. '
            if hasattr(model, 'cls_head'):
                hint += ('It has no classifier: train one first, tools/train.'
                         f'py CONFIG --pretrained {path}, or make features '
                         'with tools/extract_features.py')
            else:
                hint += 'Use the config that it was trained with'
        else:
            hint = 'Use the config that it was trained with'
        raise ValueError(
            f'{path} is not a checkpoint of this whole '
            f'{type(model).__name__}:\n{faults}\n{hint}') from None
    return meta


def _dataset_meta(cfg: Config, model: nn.Module, meta: Mapping[str, Any],
                  classes: Optional[Classes]) -> Dict[str, Any]:
    number = getattr(getattr(model, 'cls_head', None), 'num_classes', None)
    if number is None and classes is None:
        return {}
    names = (find_class_names(cfg, meta)
             if classes is None else read_class_names(classes))
    if names is None:
        return {}
    if number is not None and len(names) != number:
        if classes is None:  # found, but of other data than the model's
            return {}
        raise ValueError(f'{len(names)} names of classes are given, and the '
                         f'model tells {number} apart')
    return dict(classes=names)
