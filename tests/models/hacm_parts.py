# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A small HA-CM model and clips for it, for the tests of its parts."""

import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.registry import MODELS

FRAMES, SEGMENTS, LIMBS = 18, 6, 13


def part(type_, **kwargs):
    init_default_scope('mmaction')
    built = MODELS.build(dict(type=type_, **kwargs))
    built.init_weights()
    return built


def config(backbone=(), neck=(), mask_generator=(), **kwargs):
    sizes = dict(embed_dims=16, num_heads=2, layer_scale=None, norm_eps=1e-5)
    return {
        **dict(
            backbone=dict(
                type='HyperbolicSkeletonTransformer',
                layout='kinect20',
                num_frames=FRAMES,
                depth=2,
                **sizes,
                **dict(backbone)),
            neck=dict(
                type='TransformerDecoder',
                num_segments=SEGMENTS,
                num_joints=LIMBS,
                in_dims=16,
                depth=1,
                **{**sizes, **dict(neck)}),
            target=dict(type='BallMotionTarget', patch_len=3),
            head=dict(type='RegressionHead', in_dims=16, out_dims=9),
            mask_generator=dict(
                type='CrossMask',
                embed_dims=16,
                **{'mask_ratio': .7, **dict(mask_generator)})),
        **kwargs
    }


def build(**kwargs):
    return part('CrossMaskedModel', **config(**kwargs))


def walks(num_persons, frames=FRAMES, joints=20):
    """Persons whose joints walk at random."""
    pose = torch.randn(num_persons, 1, joints, 3) / 2
    return pose + torch.randn(num_persons, frames, joints, 3).cumsum(1) / 20


def batch(num_clips=3, absent=((1, 1), ), views=1):
    """Raw output of a data loader; two person slots a clip, no masks."""
    clips = walks(num_clips * views * 2).view(num_clips, views, 2, FRAMES, 20,
                                              3)
    for clip, person in absent:
        clips[clip, :, person] = 0
    return dict(
        inputs=list(clips),
        data_samples=[ActionDataSample() for _ in clips])


def losses_of(model, data, uniform=None):
    made = model.hide(data['inputs'], uniform=uniform)
    return model.loss(data['inputs'], made.indices, made.rank)
