# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The encoders of an evaluation: pre-trained ones and their floors."""
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence

import torch
from mmaction.models import RecognizerGCN
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from skel_ssl.apis.pretrained import load_pretrained
from skel_ssl.registry import MODELS
from skel_ssl.utils.streams import check_streams

from .feature_cache import hash_object, hash_weights
from .features import raw_coordinates

FLOORS = ('raw', 'random')


@dataclass
class Encoder:
    """Something that makes features, and how to know it again.

    Args:
        kind (str): ``'raw'``, ``'random'`` or ``'pretrained'``.
        encode (Callable): ``(N, M, T, V, C)`` to ``(N, M, D, S, V)``.
        key (dict): What the features depend on.
        about (dict): What the report says of it.
        probe_seeds (Sequence[int], optional): Seeds of its linear probes,
            instead of the usual ones.
    """
    kind: str
    encode: Callable[[Tensor], Tensor]
    key: Dict[str, Any]
    about: Dict[str, Any] = field(default_factory=dict)
    probe_seeds: Optional[Sequence[int]] = None


def build_backbone(cfg: Config,
                   persons: str = 'valid',
                   seed: int = 0) -> nn.Module:
    """The backbone of a recognizer's config, freshly initialised and frozen.

    Weights that the config itself would load are left out.

    Args:
        cfg (Config): Config of a recognizer.
        persons (str): ``'all'`` lets a backbone that skips empty slots
            encode them too.
        seed (int): Of the initialisation.

    Raises:
        ValueError: If the model is no ``RecognizerGCN``.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    kind = MODELS.get(cfg.model.type)
    if kind is None or not issubclass(kind, RecognizerGCN):
        raise ValueError(
            f'{cfg.filename} describes a {cfg.model.type}; the evaluator '
            "reads the backbone of a RecognizerGCN, MMAction2's recognizer "
            'of skeletons: use a config of configs/benchmarks/linear')
    settings = dict(cfg.model.backbone)
    init = settings.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        settings['init_cfg'] = None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = MODELS.build(settings)
        backbone.init_weights()
    if persons == 'all' and hasattr(backbone, 'skip_empty_persons'):
        backbone.skip_empty_persons = False
    return backbone.requires_grad_(False).eval()


def make_encoders(cfg: Config,
                  checkpoints: Sequence[str],
                  floors: Sequence[str] = FLOORS,
                  num_seeds: int = 3,
                  persons: str = 'valid',
                  prefix: Optional[str] = None) -> List[Encoder]:
    """The encoders to compare, floors first.

    Args:
        cfg (Config): See :func:`build_backbone`.
        checkpoints (Sequence[str]): Pre-trained weights, one encoder each.
        floors (Sequence[str]): ``'raw'``: the coordinates themselves;
            ``'random'``: the same network before training, ``num_seeds``
            times.
        num_seeds (int): Number of random encoders.
        persons (str): ``'valid'`` or ``'all'``.
        prefix (str, optional): See :func:`load_pretrained`.

    Raises:
        ValueError: See :func:`build_backbone` and :func:`load_pretrained`.
    """
    encoders = [raw_encoder()] if 'raw' in floors else []
    if 'random' in floors:
        encoders += [random_encoder(cfg, i, persons) for i in range(num_seeds)]
    return encoders + [
        pretrained_encoder(cfg, checkpoint, persons, prefix)
        for checkpoint in checkpoints
    ]


def raw_encoder() -> Encoder:
    """The coordinates themselves."""
    key = dict(weights='raw coordinates', backbone='none')
    return Encoder('raw', raw_coordinates, key, probe_seeds=[0])


def random_encoder(cfg: Config,
                   seed: int = 0,
                   persons: str = 'valid') -> Encoder:
    """The network before training.

    It has one probe, with the seed of its weights: what counts is the spread
    over several such encoders.

    Args:
        cfg (Config): See :func:`build_backbone`.
        seed (int): Of the weights.
        persons (str): ``'valid'`` or ``'all'``.

    Raises:
        ValueError: See :func:`build_backbone`.
    """
    backbone = build_backbone(cfg, persons, seed)
    key = _key(cfg, backbone)
    return Encoder('random', backbone, key, dict(key, seed=seed), [seed])


def pretrained_encoder(cfg: Config,
                       checkpoint: str,
                       persons: str = 'valid',
                       prefix: Optional[str] = None) -> Encoder:
    """The network with the weights of a checkpoint.

    Args:
        cfg (Config): See :func:`build_backbone`.
        checkpoint (str): Pre-trained weights.
        persons (str): ``'valid'`` or ``'all'``.
        prefix (str, optional): See :func:`load_pretrained`.

    Raises:
        ValueError: See :func:`build_backbone`, :func:`load_pretrained` and
            :func:`check_streams`.
    """
    backbone = build_backbone(cfg, persons)
    found = load_pretrained(backbone, checkpoint, prefix)
    check_streams(cfg, found.meta, str(checkpoint))
    key = _key(cfg, backbone)
    about = dict(checkpoint=str(checkpoint), prefix=found.prefix, **key)
    return Encoder('pretrained', backbone, key, about)


def _key(cfg: Config, backbone: nn.Module) -> Dict[str, Any]:
    return dict(
        weights=hash_weights(backbone),
        backbone=hash_object(dict(cfg.model.backbone)))
