# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Names and shapes of public weights; outputs are checked in tests/parity."""
import pytest
import torch
from mmengine.registry import init_default_scope

from skel_ssl.apis import convert_state_dict
from skel_ssl.registry import MODELS


def public_file():
    """A state dict of the public layout, 426 tensors of the right shapes."""
    dims, hidden = 256, 1024
    block = {
        'gamma_1': (dims, ),
        'gamma_2': (dims, ),
        **{
            f'norm{i}.{p}': (dims, )
            for i in (1, 2) for p in ('weight', 'bias')
        },
        **{
            f'attn.{m}.{p}': shape
            for m in ('keys', 'queries', 'values', 'proj')
            for p, shape in (('weight', (dims, dims)), ('bias', (dims, )))
        },
        'mlp.fc1.weight': (hidden, dims),
        'mlp.fc1.bias': (hidden, ),
        'mlp.fc2.weight': (dims, hidden),
        'mlp.fc2.bias': (dims, ),
    }
    square = {'weight': (dims, dims), 'bias': (dims, )}
    vector = {'weight': (dims, ), 'bias': (dims, )}
    shapes = {
        'encoder_embedding.projection.1.weight': (dims, 3, 3, 1),
        'encoder_embedding.projection.1.bias': (dims, ),
        'encoder_embedding.spatio_pos_emb': (1, dims, 1, 25),
        'encoder_embedding.temporal_pos_emb': (1, dims, 30, 1),
        'decoder_spatio_pos_emb': (1, dims, 1, 25),
        'decoder_temporal_pos_emb': (1, dims, 30, 1),
        'mask_token_emb': (1, 1, dims),
        **{f'encoder_norm.{p}': s for p, s in vector.items()},
        **{f'decoder_norm.{p}': s for p, s in vector.items()},
        **{f'decoder_embedding.{p}': s for p, s in square.items()},
        **{f'decoder_feat_head.{p}': s for p, s in square.items()},
        **{
            f'{side}.layers.{i}.{name}': shape
            for side, depth in (('encoder', 8), ('decoder', 3))
            for i in range(depth) for name, shape in block.items()
        },
    }
    return {
        prefix + name: torch.randn(shape)
        for prefix in ('auto_encoder.', 'ema.model.')
        for name, shape in shapes.items()
    }


def test_every_tensor_of_a_full_size_file_has_its_place():
    init_default_scope('mmaction')
    public = public_file()
    assert len(public) == 426
    ours = convert_state_dict(public, 'skeleton2vec')
    model = MODELS.build(
        dict(
            type='MaskedSkeletonModel',
            backbone=dict(type='SkeletonTransformer'),
            neck=dict(type='TransformerDecoder'),
            target=dict(type='TeacherTarget'),
            head=dict(type='RegressionHead')))
    missing, unexpected = model.load_state_dict(ours, strict=False)
    assert (missing, unexpected) == (['target.teacher.steps'], [])
    student = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert student == 8856576
    qkv = ours['target.teacher.module.blocks.5.attn.qkv.weight']
    layer = 'ema.model.encoder.layers.5.attn.'
    parts = [public[f'{layer}{p}.weight'] for p in ('queries', 'keys',
                                                    'values')]
    assert torch.equal(qkv, torch.cat(parts))
    assert torch.equal(ours['backbone.pos_embed.temporal'][0, :, 0],
                       public['auto_encoder.encoder_embedding.'
                              'temporal_pos_emb'][0, :, :, 0].T)


def test_foreign_weights_are_refused():
    public = public_file()
    public['auto_encoder.blocks.0.attn.qkv.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match='1 of 427 weights are not of'):
        convert_state_dict(public, 'skeleton2vec')
    with pytest.raises(ValueError, match="no converter for 'mocov3'"):
        convert_state_dict(public, 'mocov3')
