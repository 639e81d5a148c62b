# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Models of the demo, shrunk, with random weights, and clips for them."""
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
LINEAR = ROOT / 'configs/benchmarks/linear/skel2vec_demo.py'
PRETRAIN = ROOT / 'configs/skel2vec_demo.py'
SKELETONMAE_2D = ROOT / 'configs/benchmarks/finetune/skeletonmae_ntu60.py'

_ENCODER = {'model.backbone.embed_dims': 16, 'model.backbone.depth': 2}
TINY_PROBE = {
    **_ENCODER, 'model.cls_head.in_channels': 16,
    'model.cls_head.num_classes': 3
}
TINY_PRETRAIN = {
    **_ENCODER, 'model.neck.in_dims': 16,
    'model.neck.embed_dims': 16,
    'model.target.top_k': 2,
    'model.head.in_dims': 16,
    'model.head.out_dims': 16
}


def save_model(path, config, options, **meta):
    """Write a checkpoint of a freshly made model; the model."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model.eval()


def save_probe(path, **meta):
    """A recognizer whose scores differ from clip to clip."""
    model = save_model(path, LINEAR, TINY_PROBE, **meta)
    model.cls_head.fc.weight.data.normal_(0, 1)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model


def save_pretraining(path):
    """A pre-training whose teacher is not its student."""
    model = save_model(path, PRETRAIN, TINY_PRETRAIN)
    for param in model.teacher.parameters():
        param.data += 0.1 * torch.randn_like(param)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model


def make_clip(seed, persons=1, frames=40, joints=25, coordinates=3):
    """Persons whose joints wander off a random pose, (M, T, V, C)."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, .02, (persons, frames, joints, coordinates))
    steps[:, 0] += rng.normal(0, .5, (persons, joints, coordinates))
    return steps.cumsum(1).astype(np.float32)
