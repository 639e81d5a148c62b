# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a method costs, counted and not timed."""
from typing import Any, Dict, Mapping

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skel_ssl.datasets.layouts import get_layout
from skel_ssl.models.backbones import SkeletonTransformer
from skel_ssl.registry import MODELS
from skel_ssl.utils.step_benchmark import (
    count_flops,
    count_persons,
    make_batch,
)

from .configs import data_of, read_config


def count_costs(parts: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """Parameters and operations of a method.

    Args:
        parts (dict[str, dict]): ``config`` and ``options`` of each part:
            ``'pretrain'``, ``'frozen'``, ``'finetune'``.

    Returns:
        dict: ``parameters`` of the encoder, and of all that pre-training and
        fine-tuning train; ``flops`` of a step of pre-training with one
        person, and of the recognition of one clip with all its persons.
    """
    init_default_scope('mmaction')
    configs = {
        part: read_config(given['config'], given['options'])
        for part, given in parts.items()
    }
    parameters: Dict[str, int] = {}
    flops: Dict[str, int] = {}
    if 'pretrain' in configs:
        cfg = configs['pretrain']
        model = MODELS.build(cfg.model)
        parameters['encoder'] = count_parameters(model.backbone)
        parameters['pretrain'] = count_trained(model)
        batch = make_batch(cfg, 1, 0.)
        flops['pretrain'] = count_flops(cfg, batch) // count_persons(batch)
    recognizers = [configs[x] for x in ('finetune', 'frozen') if x in configs]
    if recognizers:
        flops['inference'] = count_inference(recognizers[0])
        model = MODELS.build(recognizers[0].model)
        parameters.setdefault('encoder', count_parameters(model.backbone))
        if 'finetune' in configs:
            parameters['finetune'] = count_trained(model)
    return dict(parameters=parameters, flops=flops)


def count_parameters(model: nn.Module) -> int:
    """Numbers in the weights of a model."""
    return sum(param.numel() for param in model.parameters())


def count_trained(model: nn.Module) -> int:
    """Numbers in those weights that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_inference(cfg: Config) -> int:
    """Floating-point operations of the matrix products that recognise a clip
    with all its persons (1 multiply-add = 2).

    Args:
        cfg (Config): Config of a recognizer of skeletons.
    """
    settings = dict(cfg.model)
    kind = MODELS.get(settings['backbone']['type'])
    if issubclass(kind, SkeletonTransformer):
        # The fused kernel is not counted on every device.
        settings['backbone'] = dict(settings['backbone'], attention='plain')
    model = MODELS.build(settings).eval()
    clip = torch.randn(1, *clip_shape(cfg))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.cls_head(model.backbone(clip))
    return counter.get_total_flops()


def clip_shape(cfg: Config) -> tuple:
    """Persons, frames, joints and channels of a clip, ``(M, T, V, C)``."""
    dataset = data_of(cfg, 'train_dataloader')
    steps = {step['type']: step for step in dataset['pipeline']}
    frames = next(step['clip_len'] for step in steps.values()
                  if 'clip_len' in step)
    return (steps['FormatGCNInput'].get('num_person', 2), frames,
            get_layout(dataset.get('layout', 'ntu25')).num_joints,
            cfg.model.backbone.get('in_channels', 3))
