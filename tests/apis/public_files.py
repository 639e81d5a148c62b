# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints as the public codes write them, of recorded weights."""
import argparse
from typing import Dict, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.conftest import shared_file


class PublicFile(NamedTuple):
    """A public checkpoint and what its model was recorded to return.

    Attributes:
        content (dict): What the file holds.
        clips (Tensor): ``(N, M, T, V, C)``.
        expected (np.ndarray): ``(N, classes)`` logits; of pre-training the
            encoder's features of all tokens, ``(N * M, S * V, D)``.
    """
    content: dict
    clips: Tensor
    expected: np.ndarray


def _named(z, prefix: str, new_prefix: str = '') -> Dict[str, Tensor]:
    return {
        new_prefix + name[len(prefix):]: torch.from_numpy(z[name])
        for name in z.files if name.startswith(prefix)
    }


def public_file(method: str, kind: str) -> PublicFile:
    """A file of ``'skeleton2vec'``, ``'mamp'`` or ``'hacm'``; ``'pretrain'``,
    ``'linear'`` or ``'finetune'``. Width 64, 4 heads, 24 frames."""
    with np.load(shared_file(f'golden/{method}_golden.npz')) as z:
        return dict(
            skeleton2vec=_skeleton2vec, mamp=_mamp, hacm=_hacm)[method](z,
                                                                        kind)


def _skeleton2vec(z, kind: str) -> PublicFile:
    clips = torch.from_numpy(z['in/keypoint'])[:, 0]
    if kind == 'pretrain':
        weights = _named(z, 'student/', 'auto_encoder.')
        weights.update(_named(z, 'teacher/', 'ema.model.'))
        expected = z['eval/features']
    else:
        head = dict(linear='light', finetune='large')[kind]
        weights = _named(z, 'student/', 'encoder.')
        weights.update(_named(z, f'eval/{head}/', 'cls_head.'))
        expected = z[f'eval/{head}_logits']
    parts = dict(name='x', args=argparse.Namespace(lr=1e-3))
    content = dict(
        model=dict(parts, sd=weights),
        optimizer=dict(parts, sd=dict(state={}, param_groups=[])),
        epoch=7,
        scale=dict(scale=np.float64(2.)))
    return PublicFile(content, clips, expected)


def _mamp_content(weights: Dict[str, Tensor]) -> dict:
    return dict(
        model=weights,
        optimizer=dict(state={}, param_groups=[dict(lr=np.float64(1e-3))]),
        epoch=7,
        scaler={},
        args=argparse.Namespace(lr=1e-3, device='cuda'))


def _encoder(weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    beside = ('decoder', 'mask_token', 'l1.', 'l2.')
    return {k: v for k, v in weights.items() if not k.startswith(beside)}


def _mamp(z, kind: str) -> PublicFile:
    clips = torch.from_numpy(z['in/skeleton']).permute(0, 4, 2, 3, 1)
    weights = _named(z, 'model/')
    if kind == 'pretrain':
        expected = z['eval/features'].reshape(6, 150, 64)
    else:
        name = dict(linear='linprobe', finetune='finetune')[kind]
        weights = {**_encoder(weights), **_named(z, f'eval/{name}/')}
        expected = z[f'eval/{name}_logits']
    return PublicFile(_mamp_content(weights), clips.contiguous(), expected)


def _hacm(z, kind: str) -> PublicFile:
    clips = torch.from_numpy(z['x']).permute(0, 4, 2, 3, 1)
    weights = _named(z, 'sd/')
    expected = z['eval/features']
    if kind == 'finetune':
        weights = {
            **_encoder(weights),
            **_named(z, 'eval/finetune/head.', 'head.')
        }
        expected = z['eval/finetune/logits']
    elif kind == 'linear':
        # The probe was recorded without its batch norm: one that does
        # nothing stands in.
        head = _named(z, 'eval/linprobe/head.fc.', 'head.fc.1.')
        weights = {
            **_encoder(weights), 'head.fc.0.running_mean': torch.zeros(64),
            'head.fc.0.running_var': torch.ones(64),
            'head.fc.0.num_batches_tracked': torch.tensor(9),
            **head
        }
        expected = z['eval/linprobe/logits']
    return PublicFile(_mamp_content(weights), clips.contiguous(), expected)
