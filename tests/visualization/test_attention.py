# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Recorded weights are those by which the layers mix values."""
import pytest
import torch
from torch import nn

from skel_ssl.models.backbones import (
    HyperbolicSkeletonTransformer,
    SkeletonTransformer,
)
from skel_ssl.models.ops.transformer import Attention
from skel_ssl.visualization.attention import (
    attention_rollout,
    attention_weights,
    record_attention,
    salient_tokens,
)

SIZE = dict(num_frames=6, patch_len=3, embed_dims=16, depth=3, num_heads=4)


def weights_times_values(attention, x, weights):
    """The layer's output, from weights."""
    v = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1))
    v = v.permute(2, 0, 3, 1, 4)[2]
    return attention.proj((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize('kind', ['fused', 'plain'])
def test_rows_add_up_and_reproduce_the_output(kind):
    attention = Attention(16, 4, attention=kind)
    x = 3 * torch.randn(2, 10, 16)
    weights = attention_weights(attention, x)
    assert weights.shape == (2, 4, 10, 10)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 10))
    torch.testing.assert_close(
        weights_times_values(attention, x, weights), attention(x),
        atol=1e-5, rtol=1e-4)


def test_chosen_queries():
    attention = Attention(16, 4)
    x = torch.randn(2, 10, 16)
    every = attention_weights(attention, x)
    torch.testing.assert_close(
        attention_weights(attention, x, [7, 0]), every[:, :, [7, 0]])
    with pytest.raises(ValueError, match='tokens are 0 to 9'):
        attention_weights(attention, x, [10])


@pytest.mark.parametrize('backbone', [
    SkeletonTransformer(num_joints=5, **SIZE),
    HyperbolicSkeletonTransformer(**SIZE),
], ids=['SkeletonTransformer', 'HyperbolicSkeletonTransformer'])
def test_recording_a_backbone(backbone):
    backbone.eval()
    persons = torch.randn(2, 6, backbone.num_input_joints, 3)
    with torch.no_grad():
        expected = backbone.encode(persons)
        inputs = {}
        handle = backbone.blocks[1].attn.register_forward_pre_hook(
            lambda module, args: inputs.update(x=args[0]))
        with record_attention(backbone.blocks, [1, -1], [3]) as found:
            out = backbone.encode(persons)
        handle.remove()
        assert torch.equal(out, expected)  # it only looks on
        length = 2 * backbone.num_joints
        assert {i: w.shape for i, w in found.items()} == {
            1: (2, 4, 1, length), -1: (2, 4, 1, length)}
        torch.testing.assert_close(
            found[1], attention_weights(backbone.blocks[1].attn, inputs['x'],
                                        [3]))
        found.clear()
        backbone.encode(persons)
    assert not found  # nothing stays


def test_hooks_go_when_the_model_fails():
    backbone = SkeletonTransformer(num_joints=5, **SIZE)
    with pytest.raises(ValueError, match='joints'):
        with record_attention(backbone.blocks):
            backbone.encode(torch.randn(2, 6, 4, 3))
    assert not backbone.blocks[-1].attn._forward_hooks


def test_blocks_that_are_not_there():
    blocks = SkeletonTransformer(num_joints=5, **SIZE).blocks
    with pytest.raises(ValueError, match='no block 3: they are 0 to 2'):
        with record_attention(blocks, [3]):
            pass
    with pytest.raises(ValueError, match='Linear without self-attention'):
        with record_attention(nn.ModuleList([nn.Linear(2, 2)])):
            pass


def test_rollout():
    maps = [torch.rand(2, 4, 6, 6).softmax(-1) for _ in range(3)]
    found = attention_rollout(maps)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 6))
    # Two tokens, two blocks: the first looks at the second, then stays.
    swap = torch.tensor([[[[0., 1.], [0., 1.]]]])
    stay = torch.eye(2)[None, None]
    assert attention_rollout([swap, stay])[0].tolist() == [[.5, .5], [0, 1]]
    # The last block's rows choose among what the first block has mixed.
    cross = torch.tensor([[[[1., 0.], [1., 0.]]]])
    assert attention_rollout([swap, cross])[0].tolist() == [
        [.5, .5], [.25, .75]]


def test_the_token_of_a_part_that_moves_most():
    motion = torch.tensor([[0., 5., 1., 0.], [9., 0., 0., 2.]])
    assert salient_tokens(motion, [(1, 2), (), (3, 0)]) == [1, 4]
