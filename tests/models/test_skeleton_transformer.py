# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The backbone: shapes, presence, freezing, errors, layer depths."""
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint

from skel_ssl.models import SkeletonTransformer
from skel_ssl.registry import MODELS


def small(**kwargs):
    sizes = dict(num_frames=12, embed_dims=16, depth=2, num_heads=2)
    backbone = SkeletonTransformer(**{**sizes, **kwargs})
    backbone.init_weights()
    return backbone


def test_the_default_is_the_published_encoder():
    init_default_scope('mmaction')
    backbone = MODELS.build(dict(type='SkeletonTransformer'))
    assert sum(p.numel() for p in backbone.parameters()) == 6339328
    assert (backbone.num_segments, backbone.depth) == (30, 8)


def test_initialisation():
    backbone = SkeletonTransformer(depth=1)
    backbone.init_weights()
    for weight in (backbone.pos_embed.spatial, backbone.pos_embed.temporal,
                   backbone.joint_embed.proj.weight,
                   backbone.blocks[0].attn.qkv.weight):
        assert weight.std().item() == pytest.approx(.02, rel=.1)
    assert backbone.blocks[0].attn.qkv.bias.eq(0).all()
    assert backbone.blocks[0].gamma_1.eq(1e-4).all()
    slip = SkeletonTransformer(depth=1, zero_temporal_init=True)
    slip.init_weights()
    assert slip.pos_embed.temporal.eq(0).all()
    assert not slip.pos_embed.spatial.eq(0).any()


def test_features_are_what_gcn_heads_expect():
    x = torch.randn(3, 2, 12, 25, 3)
    feats = small()(x)
    assert feats.shape == (3, 2, 16, 4, 25)
    assert feats.is_contiguous()


def test_absent_persons_change_nothing_and_get_zeros():
    backbone = small().eval()
    x = torch.randn(3, 2, 12, 25, 3)
    full = backbone(x)
    x[1, 1] = 0
    x[2, 1] = x[2, 0]
    feats = backbone(x)
    assert feats[1:, 1].eq(0).all()
    torch.testing.assert_close(feats[:, 0], full[:, 0])
    torch.testing.assert_close(feats[0], full[0])
    backbone.skip_empty_persons = False
    every = backbone(x)
    assert not every[1:, 1].eq(0).any()
    torch.testing.assert_close(every[:, 0], full[:, 0])


def test_a_clip_without_any_person():
    feats = small()(torch.zeros(2, 2, 12, 25, 3))
    assert feats.shape == (2, 2, 16, 4, 25)
    assert feats.eq(0).all()


def test_persons_are_independent():
    backbone = small().eval()
    persons = torch.randn(5, 12, 25, 3)
    every = backbone.encode(persons)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(backbone.encode(persons[order]), every[order])
    torch.testing.assert_close(backbone.encode(persons[2:3]), every[2:3])


def test_visible_tokens_are_encoded_as_if_alone():
    """Nothing of a hidden joint reaches the encoder."""
    backbone = small().eval()
    persons = torch.randn(2, 12, 25, 3)
    kept = torch.tensor([[0, 26, 60], [3, 4, 99]])
    before = backbone.encode(persons, kept)
    grid = persons.view(2, 4, 3, 25, 3).transpose(2, 3).flatten(1, 2)
    hidden = torch.ones(2, 100, dtype=torch.bool).scatter(1, kept, False)
    grid[hidden] += 100.
    changed = grid.unflatten(1, (4, 25)).transpose(2, 3).flatten(1, 2)
    torch.testing.assert_close(backbone.encode(changed, kept), before)


def test_frozen_means_frozen():
    backbone = small(frozen=True, drop_path_rate=.5)
    backbone.train()
    assert not any(m.training for m in backbone.modules())
    x = torch.randn(2, 1, 12, 25, 3)
    feats = backbone(x)
    assert not feats.requires_grad
    torch.testing.assert_close(feats, backbone(x))


def test_dropped_tokens(monkeypatch):
    """In training each joint of each person keeps as many of its segments,
    drawn anew, and the blocks see no others."""
    backbone = small(num_joints=5, num_frames=24, token_drop_rate=.4)
    x = torch.randn(6, 2, 24, 5, 3)
    x[1, 1] = 0
    whole = backbone.eval()(x)
    assert whole.shape == (6, 2, 16, 8, 5)
    seen = []
    encode = backbone.encode

    def spy(persons, kept=None):
        seen.append(kept)
        return encode(persons, kept)

    monkeypatch.setattr(backbone, 'encode', spy)
    feats = backbone.train()(x)
    assert feats.shape == (6, 2, 16, 5, 5)
    assert feats[1, 1].eq(0).all()
    kept = seen[0].unflatten(1, (5, 5))
    assert len(kept) == 11 and kept.remainder(5).eq(torch.arange(5)).all()
    segments = kept // 5
    assert (segments.diff(dim=1) > 0).all()
    assert segments.flatten().bincount(minlength=8).min() > 0
    drawn = segments.transpose(1, 2).reshape(55, 5).unique(dim=0)
    assert len(drawn) > 20  # of 55 joints, with 56 possible draws
    present = [i for i in range(12) if i != 3]
    expected = encode(x.flatten(0, 1)[present], seen[0])
    expected = expected.unflatten(1, (5, 5)).permute(0, 3, 1, 2)
    torch.testing.assert_close(feats.flatten(0, 1)[present], expected)
    backbone(x)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize('rate', [-.1, 1.])
def test_a_token_drop_rate_out_of_range(rate):
    with pytest.raises(ValueError, match='token_drop_rate=.* below 1'):
        small(token_drop_rate=rate)


def test_drop_path_acts_in_training_only():
    backbone = small(drop_path_rate=.9, layer_scale=1.)
    x = torch.randn(8, 1, 12, 25, 3)
    assert not torch.equal(backbone.train()(x), backbone(x))
    assert torch.equal(backbone.eval()(x), backbone(x))


@pytest.mark.parametrize('shape, message', [
    ((2, 1, 12, 20, 3), 'have 20 joints .* made for 25: set num_joints=20'),
    ((2, 1, 13, 25, 3), '13 frames cannot be cut into patches of 3'),
    ((2, 1, 15, 25, 3), '15 frames .* made for 12: set num_frames=15'),
    ((2, 1, 12, 25, 2), '2 coordinates .* set in_channels=2'),
    ((2, 12, 25, 3), r'\(N, M, T, V, C\)'),
])
def test_wrong_inputs(shape, message):
    with pytest.raises(ValueError, match=message):
        small()(torch.randn(shape))


def test_nan_is_refused():
    x = torch.randn(2, 1, 12, 25, 3)
    x[1, 0, 3, 4, 2] = float('nan')
    with pytest.raises(ValueError, match='NaN or infinite'):
        small()(x)


def test_wrong_settings():
    with pytest.raises(ValueError, match='num_frames=100 is not a multiple'):
        SkeletonTransformer(num_frames=100)
    with pytest.raises(ValueError, match='7 heads do not divide'):
        SkeletonTransformer(num_heads=7)
    with pytest.raises(ValueError, match="no attention 'flash'"):
        SkeletonTransformer(attention='flash')


def test_layer_depths():
    backbone = SkeletonTransformer(depth=8)
    depths = {
        name: backbone.get_layer_depth(f'backbone.{name}', 'backbone.')
        for name in ('joint_embed.proj.weight', 'pos_embed.temporal',
                     'blocks.0.norm1.weight', 'blocks.7.mlp.fc2.bias',
                     'norm.weight')
    }
    assert [d[0] for d in depths.values()] == [0, 0, 1, 8, 9]
    assert {d[1] for d in depths.values()} == {10}
    assert backbone.get_layer_depth('cls_head.fc.weight',
                                    'backbone.') == (9, 10)


def test_pretrained_init_cfg_loads_and_resizes(tmp_path):
    source = small()
    file = str(tmp_path / 'encoder.pth')
    save_checkpoint(
        dict(state_dict={
            f'backbone.{k}': v
            for k, v in source.state_dict().items()
        }), file)
    target = small(
        num_frames=24,
        init_cfg=dict(
            type='Pretrained', checkpoint=file, prefix='backbone.'))
    own = source.state_dict()
    for name, value in target.state_dict().items():
        if name == 'pos_embed.temporal':
            assert value.shape == (1, 8, 1, 16)
            assert value.std() > 0
        else:
            assert torch.equal(value, own[name]), name
