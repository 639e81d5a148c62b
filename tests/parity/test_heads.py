# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Heads against logits recorded from the public code of three methods.

Each is fed the recorded features, so no encoder is needed.
"""
import numpy as np
import pytest
import torch
from torch import nn

from skel_ssl.models.heads import FineTuneHead, LinearProbeHead
from tests.conftest import shared_file

# Shape of the recorded features, (clip, person, segment, joint, channel),
# and the epsilon of the batch norm.
GRIDS = {
    'skeleton2vec': ((3, 2, 8, 25, 64), 1e-5),
    'mamp': ((3, 2, 6, 25, 64), 1e-6),
    'hacm': ((3, 2, 8, 18, 64), 1e-6),
}
FINETUNE = {
    'skeleton2vec': ('eval/large/', 'eval/large_logits', {
        '5.': 'fc1.',
        '6.': 'norm.',
        '8.': 'fc2.'
    }),
    'mamp': ('eval/finetune/head.', 'eval/finetune_logits', {
        'bn.': 'norm.'
    }),
    'hacm': ('eval/finetune/head.', 'eval/finetune/logits', {
        'bn.': 'norm.'
    }),
}
LINEAR = {
    'skeleton2vec': ('eval/light/', 'eval/light_logits', {
        '2.': 'norm.',
        '4.': 'fc.'
    }),
    'mamp': ('eval/linprobe/head.fc.', 'eval/linprobe_logits', {
        '0.': 'norm.',
        '1.': 'fc.'
    }),
    'hacm': ('eval/linprobe/head.', 'eval/linprobe/logits', {}),
}


def read(method, protocol):
    """Features, logits and the head's weights under our names."""
    prefix, logits, names = protocol[method]
    with np.load(shared_file(f'golden/{method}_golden.npz')) as z:
        features = torch.from_numpy(z['eval/features'])
        weights = {
            k[len(prefix):]: torch.from_numpy(z[k])
            for k in z.files if k.startswith(prefix) and k != logits
        }
        expected = z[logits]
    for theirs, ours in names.items():
        weights = {
            (ours + k[len(theirs):] if k.startswith(theirs) else k): v
            for k, v in weights.items()
        }
    features = features.reshape(GRIDS[method][0]).permute(0, 1, 4, 2, 3)
    return features, expected, weights


def check(head, features, expected):
    with torch.no_grad():
        logits = head.eval()(features)
    assert logits.shape == expected.shape
    np.testing.assert_allclose(logits.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize('method', GRIDS)
def test_finetune_head(method):
    """The recorded hidden layer has 32 values instead of 2048."""
    features, expected, weights = read(method, FINETUNE)
    head = FineTuneHead(
        expected.shape[1],
        in_channels=64,
        num_joints=features.shape[-1],
        hidden_channels=32,
        norm_eps=1e-5)
    head.load_state_dict(weights)
    check(head, features, expected)


@pytest.mark.parametrize('method', GRIDS)
def test_linear_probe_head(method):
    features, expected, weights = read(method, LINEAR)
    head = LinearProbeHead(
        expected.shape[1], in_channels=64, norm_eps=GRIDS[method][1])
    if method == 'hacm':  # recorded without its batch norm
        head.norm = nn.Identity()
    head.load_state_dict(weights)
    check(head, features, expected)
