# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The decoder whose queries look at visible tokens alone."""
import pytest
import torch
from mmengine.registry import init_default_scope

from skel_ssl.models.ops.indices import TokenIndices, mask_to_indices
from skel_ssl.models.ops.masking import random_mask
from skel_ssl.registry import MODELS


def decoder(seed=0, **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(seed)
    neck = MODELS.build({
        **dict(
            type='CrossAttentionDecoder',
            num_segments=4,
            num_joints=5,
            in_dims=12,
            embed_dims=16,
            depth=2,
            num_heads=2,
            layer_scale=None),
        **kwargs
    })
    for param in neck.parameters():  # nothing is zero, or small
        torch.nn.init.normal_(param, std=.3)
    return neck


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    indices = mask_to_indices(random_mask(3, 4, 5, .7).mask)
    return torch.randn(3, indices.kept.shape[1], 12), indices


def test_a_query_is_decoded_alike_whatever_else_is_asked(inputs):
    latent, indices = inputs
    neck = decoder()
    every = neck(latent, indices)
    assert every.shape == (3, 20, 16)
    some = indices.hidden[:, [5, 0, 3]]
    torch.testing.assert_close(
        neck(latent, indices, None, some),
        every.gather(1, some[..., None].expand(-1, -1, 16)))


def test_one_block_by_hand(inputs):
    latent, indices = inputs
    neck = decoder(depth=1, num_heads=1)
    block, attn = neck.blocks[0], neck.blocks[0].attn
    place = (neck.pos_embed.spatial + neck.pos_embed.temporal).flatten(0, 2)
    person, query = 2, indices.hidden[2, 4]
    memory = neck.memory_norm(
        neck.embed(latent[person]) + place[indices.kept[person]])
    x = neck.mask_token[0, 0] + place[query]
    keys, values = attn.kv(memory).chunk(2, -1)
    score = (keys @ attn.q(block.norm1(x))) / 4.  # sqrt of 16 channels
    x = x + attn.proj(score.softmax(0) @ values)
    x = neck.norm(x + block.mlp(block.norm2(x)))
    torch.testing.assert_close(neck(latent, indices)[person, query], x)


def test_the_order_of_visible_tokens_means_nothing(inputs):
    latent, indices = inputs
    neck = decoder()
    order = torch.randperm(latent.shape[1])
    turned = TokenIndices(indices.kept[:, order], indices.hidden)
    torch.testing.assert_close(
        neck(latent[:, order], turned), neck(latent, indices))


def test_fused_and_plain_attention_agree(inputs):
    latent, indices = inputs
    fused, plain = decoder(), decoder(attention='plain')
    torch.testing.assert_close(
        fused(latent, indices), plain(latent, indices), atol=1e-5, rtol=1e-5)


def test_it_takes_no_unshuffle():
    with pytest.raises(TypeError, match='unshuffle'):
        decoder(unshuffle='position')
