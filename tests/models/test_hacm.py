# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""HA-CM: the ball, both criteria, cross masks, contrast, and the model."""
import json
import os
from itertools import combinations

import pytest
import torch
import torch.multiprocessing as mp
from mmaction.structures import ActionDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from skel_ssl.apis import convert_state_dict
from skel_ssl.datasets.layouts import KINECT20
from skel_ssl.engine import CollapseMonitorHook
from skel_ssl.models.losses import CrossContrastLoss
from skel_ssl.models.losses.cross_contrast import cross_contrast
from skel_ssl.models.ops.cross_masking import (
    attention_score,
    cross_mask,
    group_sizes,
    hierarchy_score,
    select_tokens,
)
from skel_ssl.models.ops.hyperbolic import (
    ball_distance,
    ball_map,
    distance_sums,
)
from skel_ssl.models.ops.indices import gather_tokens
from skel_ssl.registry import MODELS
from tests.tools.conftest import free_port

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


# -------------------------------------------------------------------- the ball


def test_ball_map_at_zero_is_the_identity():
    v = torch.zeros(2, 5, requires_grad=True)
    points = ball_map(v)
    assert points.eq(0).all()
    direction = torch.randn(2, 5)
    grad, = torch.autograd.grad(points, v, direction)
    torch.testing.assert_close(grad, direction)


def test_ball_map_values_and_gradient():
    v = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    norm = v.norm(dim=-1, keepdim=True)
    points = ball_map(v)
    torch.testing.assert_close(points, norm.tanh() * v / norm)
    # d h / d v = tanh(n)/n I + (sech(n)^2 - tanh(n)/n) v v^T / n^2
    n, unit = norm[0].item(), (v[0] / norm[0])[:, None]
    scale = torch.tanh(torch.tensor(n)).item() / n
    slope = 1 - (scale * n)**2
    analytic = scale * torch.eye(5) + (slope - scale) * unit @ unit.t()
    jacobian = torch.autograd.functional.jacobian(ball_map, v[0])
    torch.testing.assert_close(jacobian, analytic.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize('size', [1e-30, 1e-20, 1e-12, 1e-3, 1., 9., 1e3, 1e9])
def test_ball_map_stays_inside_and_finite(size):
    v = (torch.randn(500, 16) * size).requires_grad_()
    points = ball_map(v)
    assert (points.norm(dim=-1) < 1).all()
    points.sum().backward()
    assert v.grad.isfinite().all()
    if size < 1e-2:
        torch.testing.assert_close(points, v, rtol=1e-3, atol=0)
    if size > 100:  # rounding takes some out, and they are put back
        radius = points.norm(dim=-1)
        moved = radius < 1 - 5e-6
        assert 0 < moved.sum() < 500
        torch.testing.assert_close(
            radius[moved], torch.full_like(radius[moved], 1 - 1e-5), rtol=0,
            atol=5e-7)
        assert (radius[~moved] > 1 - 1e-6).all()


def test_the_ball_is_float32_under_autocast():
    v = torch.randn(2, 6, 16)
    with torch.autocast('cpu', torch.bfloat16):
        assert (v @ v.transpose(1, 2)).dtype == torch.bfloat16
        points = ball_map(v)
        sums = distance_sums(points)
        assert ball_map(v.bfloat16()).dtype == torch.float32
    assert points.dtype == sums.dtype == torch.float32
    assert torch.equal(points, ball_map(v))
    assert torch.equal(sums, distance_sums(points))


@pytest.mark.parametrize('factor', [2., 4.])
def test_distances(factor):
    points = ball_map(torch.randn(3, 9, 16, dtype=torch.float64))
    u, w = points[:, :, None], points[:, None]
    direct = ball_distance(u, w, factor)
    torch.testing.assert_close(direct, direct.transpose(1, 2))
    assert direct.diagonal(dim1=1, dim2=2).eq(0).all()
    gap = 1 - points.square().sum(-1)
    x = factor * (u - w).square().sum(-1) / (gap[:, :, None] * gap[:, None])
    torch.testing.assert_close(direct, torch.arccosh(1 + x), atol=1e-6, rtol=0)
    torch.testing.assert_close(distance_sums(points, factor), direct.sum(-1))
    # From the origin: twice the artanh of the radius.
    if factor == 2:
        zero = torch.zeros(16, dtype=torch.float64)
        torch.testing.assert_close(
            ball_distance(zero, points),
            2 * torch.atanh(points.norm(dim=-1)))


@pytest.mark.parametrize('spread', [1., 1e-2, 1e-4])
def test_the_gram_form_keeps_its_precision(spread):
    """Crowded points near the boundary, in float32."""
    v = torch.randn(4, 1, 16) * 2 + spread * torch.randn(4, 12, 16)
    points = ball_map(v)
    direct = ball_distance(points[:, :, None], points[:, None]).sum(-1)
    torch.testing.assert_close(
        distance_sums(points), direct, rtol=2e-4, atol=0)


def test_a_crowd_and_one_outside():
    """Rounding makes squared distances in the crowd negative."""
    v = torch.randn(50, 1, 16) + 1e-5 * torch.randn(50, 18, 16)
    v[:, 0] += 1
    sums = distance_sums(ball_map(v))
    assert sums.isfinite().all()
    assert (sums[:, 0] > 10 * sums[:, 1:].amax(1) / 17).all()


def test_radii_next_to_one():
    direction = torch.nn.functional.normalize(torch.randn(64, 16), dim=-1)
    radius = 1 - torch.rand(64, 1) * 1e-5
    points = direction * radius.clamp(max=1 - 2**-24)
    # Some twice, and some that rounding has left on the boundary.
    points = torch.cat([points, points[:8], torch.eye(16)])
    for factor in (2., 4.):
        sums = distance_sums(points, factor)
        assert sums.isfinite().all() and (sums > 0).all()
        assert ball_distance(points, points[:1], factor).isfinite().all()


# ---------------------------------------------------------------- the criteria


def test_attention_score_by_hand():
    query, key = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 4, 8)
    score = attention_score(query, key)
    for p in range(2):
        for u in range(3):
            expected = 0.
            for t in range(3):
                product = (query[p, t] * key[p, u]).sum(-1) * 8**.5
                expected = expected + product.softmax(0)
            torch.testing.assert_close(score[p, u], expected)
    # Each of the 3 queries deals out 1 in each segment.
    torch.testing.assert_close(score.sum(-1), torch.full((2, 3), 3.))


def test_hierarchy_score_by_hand():
    points = ball_map(torch.randn(2, 3, 4, 8))
    null = ball_map(torch.randn(2, 3, 8))
    score = hierarchy_score(points, null, 0.5, 4.)
    for p in range(2):
        for s in range(3):
            for v in range(4):
                here = points[p, s, v]
                expected = ball_distance(points[p, s], here, 4.).sum()
                expected += 0.5 * ball_distance(null[p, s], here, 4.)
                torch.testing.assert_close(
                    score[p, s, v], expected, atol=1e-4, rtol=1e-4)


def test_a_token_that_is_moved_away_scores_higher():
    points = torch.randn(1, 1, 6, 8) / 10
    points[0, 0, 2] = 0
    near = hierarchy_score(ball_map(points), torch.zeros(1, 1, 8))
    points[0, 0, 2, 0] = 3.
    far = hierarchy_score(ball_map(points), torch.zeros(1, 1, 8))
    assert far[0, 0, 2] > 2 * near[0, 0, 2]
    assert far[0, 0].argmax() == 2 and near[0, 0].argmax() != 2


def test_the_groups_do_not_see_each_other():
    model = build()
    persons = walks(2)

    def scores(persons):
        tokens = model.backbone.flat_tokens(persons)
        return model.mask_generator.scores(
            tokens.unflatten(1, (SEGMENTS, LIMBS)),
            model.backbone.null_points(persons))

    temporal, spatial = scores(persons)
    for parity, same, other in ((0, spatial, temporal), (1, temporal,
                                                         spatial)):
        changed = persons.clone()
        changed.unflatten(1, (SEGMENTS, 3))[:, parity::2].add_(
            torch.randn(2, 3, 3, 20, 3))
        found = scores(changed)
        assert torch.equal(found[1 - parity], same)
        assert not torch.allclose(found[parity], other)
    # The trunk makes the NULL point of the spatial group and nothing else.
    changed = persons.clone()
    changed[:, :, model.backbone.trunk_joints] += 1.
    found = scores(changed)
    assert torch.equal(found[0], temporal)
    assert not torch.equal(found[1], spatial)


def test_select_tokens_follows_the_published_law():
    """The first draw has the softmax's probabilities."""
    score = torch.tensor([[0., 1., 2., 3.]]).expand(200000, -1)
    for select, sign in (('keep_high', 1), ('mask_high', -1)):
        rank = select_tokens(score, .9, torch.rand(200000, 4), select)
        end = 0 if sign == 1 else 3
        drawn = (rank == end).float().mean(0)
        wanted = (score[0] / (.9 * 3)).softmax(0)
        torch.testing.assert_close(drawn, wanted, atol=5e-3, rtol=0)
    flat = select_tokens(score, 1e6, torch.rand(200000, 4))
    torch.testing.assert_close(
        (flat == 0).float().mean(0), torch.full((4, ), .25), atol=5e-3, rtol=0)


@pytest.mark.parametrize('value', [0., 2.**-24, 1 - 2.**-24])
def test_extreme_random_numbers(value):
    uniform = torch.full((1, 6), .5)
    uniform[0, 3] = value
    rank = select_tokens(torch.zeros(1, 6), .9, uniform)
    assert sorted(rank[0].tolist()) == list(range(6))
    assert rank[0, 3] == (0 if value > .5 else 5)


# ------------------------------------------------------------------- the masks


def drawn(slips=(), segments=24, joints=18, persons=3, mask_ratio=.9):
    even, odd = segments - segments // 2, segments // 2
    kept = group_sizes(segments, joints, mask_ratio)
    scores = [torch.rand(persons, n, joints) for n in (even, odd)]
    uniform = [torch.rand(persons, n * joints) for n in (even, odd)]
    return kept, cross_mask(*scores, kept, uniform, legacy=slips)


def placed(made, unshuffle):
    """Whose latent stands at each position of the decoder, -1 = nobody's."""
    neck = part(
        'TransformerDecoder',
        num_segments=made.mask.shape[1],
        num_joints=made.mask.shape[2],
        in_dims=4,
        embed_dims=4,
        num_heads=1,
        depth=0,
        unshuffle=unshuffle)
    nn.init.constant_(neck.mask_token, -1.)
    nn.init.eye_(neck.embed.weight)
    for rows in (neck.pos_embed.spatial, neck.pos_embed.temporal):
        nn.init.zeros_(rows)
    neck.norm = nn.Identity()
    latent = made.indices.kept[..., None].expand(-1, -1, 4).float()
    return neck(latent, made.indices, made.rank)[..., 0].long()


@pytest.mark.parametrize('unshuffle', ['position', 'rank'])
@pytest.mark.parametrize('segments', [24, 7])
def test_each_visible_token_stands_at_its_own_place(segments, unshuffle):
    kept, made = drawn(segments=segments)
    if segments == 24:
        assert kept == (21, 21)
    else:  # the temporal group has one segment more
        assert kept == (7, 5)
    mask = made.mask.flatten(1)
    places = torch.arange(mask.shape[1]).expand_as(mask)
    assert torch.equal(
        placed(made, unshuffle), torch.where(mask, -1, places))
    assert (~made.mask[:, 0::2]).sum((1, 2)).tolist() == [kept[0]] * 3
    assert (~made.mask[:, 1::2]).sum((1, 2)).tolist() == [kept[1]] * 3
    assert torch.equal(
        torch.zeros_like(mask).scatter(1, made.indices.hidden, True), mask)
    both = torch.cat(made.indices, 1).sort(1).values
    assert torch.equal(both, places)
    # The temporal group comes first.
    segment = made.indices.kept // 18
    assert (segment[:, :kept[0]] % 2 == 0).all()
    assert (segment[:, kept[0]:] % 2 == 1).all()


def test_what_the_slips_do():
    at_home = {}
    for slips in ((), 'A', 'B', 'C', 'ABC'):
        _, made = drawn(slips, persons=20)
        found = placed(made, 'rank').unflatten(1, (24, 18))
        home = found == torch.arange(24 * 18).view(24, 18)
        at_home[''.join(slips)] = home[:, 0::2].sum(), home[:, 1::2].sum()
        assert (found >= 0).sum((1, 2)).eq(42).all()
        if 'C' in slips:
            # All latents are in the temporal half.
            assert (found[:, 1::2] == -1).all()
        if 'A' in slips:
            encoded = torch.zeros_like(made.mask.flatten(1)).scatter(
                1, made.indices.kept, True).view_as(made.mask)
            wrong = (encoded == made.mask)[:, 0::2]
            assert wrong.sum((1, 2)).gt(20).all()
            assert torch.equal(encoded[:, 1::2], ~made.mask[:, 1::2])
    every = 20 * 21
    assert at_home[''] == at_home['B'] == (every, every)
    assert at_home['A'][0] < every / 5 and at_home['A'][1] == every
    assert at_home['C'] == (every, 0)
    assert at_home['ABC'][0] < every / 5 and at_home['ABC'][1] == 0


def correlation(x, y):
    x, y = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
    return (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))


@pytest.fixture(scope='module')
def followed():
    """How the chance to be seen follows a token's own score.

    Correlations ``(models, persons)`` for each order and each group, each
    over the 216 tokens of a group: what is encoded, and what is called
    visible in the loss.
    """
    torch.manual_seed(0)
    draws, persons = 400, 4
    found = {}
    for _ in range(4):
        backbone = part(
            'HyperbolicSkeletonTransformer', embed_dims=64, depth=1)
        generator = part('CrossMask', embed_dims=64)
        clips = walks(persons, 72, 25)
        with torch.no_grad():
            scores = generator.scores(
                backbone.flat_tokens(clips).unflatten(1, (24, 18)),
                backbone.null_points(clips))
        for slips in ('', 'ABC'):
            many = [x.repeat_interleave(draws, 0) for x in scores]
            uniform = [torch.rand_like(x.flatten(1)) for x in many]
            made = cross_mask(*many, (21, 21), uniform, legacy=slips)
            encoded = torch.zeros(made.mask.flatten(1).shape)
            encoded = encoded.scatter(1, made.indices.kept, 1.)
            seen = dict(
                encoded=encoded.view_as(made.mask), called=~made.mask)
            for name, shown in seen.items():
                chance = shown.float().unflatten(0, (persons, draws)).mean(1)
                for half, group in enumerate(('temporal', 'spatial')):
                    r = correlation(scores[half].flatten(1),
                                    chance[:, half::2].flatten(1))
                    found.setdefault((slips, group, name), []).append(r)
    return {key: torch.stack(r) for key, r in found.items()}


@pytest.mark.parametrize('group', ['temporal', 'spatial'])
@pytest.mark.parametrize('name', ['encoded', 'called'])
def test_the_masks_follow_their_criteria(followed, group, name):
    r = followed['', group, name]
    t = r * (214 / (1 - r.square())).sqrt()
    assert t.min() > 5  # p < 1e-6 for each person of each model


def test_the_legacy_order_loses_the_criteria(followed):
    for key in (('ABC', 'spatial', 'encoded'), ('ABC', 'spatial', 'called'),
                ('ABC', 'temporal', 'called')):
        assert followed[key].mean().abs() < .1, key
    # The temporal tokens are drawn by their own scores, but the loss and the
    # decoder take them for others.
    assert followed['ABC', 'temporal', 'encoded'].min() > .5


def test_mask_ratio_tau_and_select_are_heeded():
    persons = walks(4)
    uniform = (torch.rand(4, 39), torch.rand(4, 39))
    model = build()

    def shown(**options):
        other = part('CrossMask', embed_dims=16, **options)
        other.load_state_dict(model.mask_generator.state_dict())
        model.mask_generator = other
        return ~model.hide(persons, uniform=uniform).mask

    assert shown(mask_ratio=.9).sum((1, 2)).tolist() == [6] * 4
    some = shown(mask_ratio=.5)
    assert some.sum((1, 2)).tolist() == [38] * 4
    # Low temperature: the scores alone decide; high: the numbers alone.
    sharp, flat = shown(mask_ratio=.5, tau=1e-3), shown(
        mask_ratio=.5, tau=1e9)
    assert not torch.equal(sharp, some)
    noise = torch.stack([u.view(4, 3, LIMBS) for u in uniform], 2)
    noise = noise.flatten(1, 2)
    for half in (0, 1):
        group, kept = noise[:, half::2].flatten(1), flat[:, half::2].flatten(1)
        assert torch.equal(
            group.argsort(1)[:, -19:].sort(1).values,
            kept.nonzero()[:, 1].view(4, 19))
    hidden = shown(mask_ratio=.5, tau=1e-3, select='mask_high')
    assert (hidden & sharp).sum() < 4 * 38 / 5


# ---------------------------------------------------------------- the contrast


def test_perfect_agreement_costs_nothing():
    x = torch.eye(5) * 30
    assert cross_contrast(x, x).item() == pytest.approx(0, abs=1e-10)
    # A wrong match costs 2 / P at most.
    assert cross_contrast(x, x.roll(1, 0)).item() == pytest.approx(2 / 5)


def test_duplicate_rows_cap_the_match():
    x = torch.eye(4) * 30
    x[3] = x[2]
    # Two rows with 1/2, 1/2 where the identity has 1, 0.
    assert cross_contrast(x, x).item() == pytest.approx(4 * .25 / 16)


def test_pairs_and_means():
    temporal, spatial = torch.randn(3, 4, 8), torch.randn(3, 2, 8)
    means = dict(
        a=temporal.mean(1),
        b=spatial.mean(1),
        g=torch.cat([temporal, spatial], 1).mean(1))
    terms = {
        pair: cross_contrast(means[pair[0]], means[pair[1]])
        for pair in ('bg', 'ag', 'ab')
    }
    assert len({round(t.item(), 6) for t in terms.values()}) == 3
    for number in (1, 2, 3):
        for pairs in combinations(terms, number):
            loss = CrossContrastLoss(pairs=[tuple(p) for p in pairs])
            torch.testing.assert_close(
                loss(temporal, spatial), sum(terms[p] for p in pairs))
    torch.testing.assert_close(
        CrossContrastLoss()(temporal, spatial), sum(terms.values()))


@pytest.mark.parametrize('persons', [0, 1])
def test_contrast_of_one_person_or_none(persons):
    tokens = torch.randn(persons, 3, 8, requires_grad=True)
    loss = CrossContrastLoss()(tokens, tokens)
    assert loss.item() == 0
    loss.backward()
    assert tokens.grad.eq(0).all()


# --------------------------------------------------------------- the backbone


def test_the_default_is_the_published_encoder():
    backbone = part('HyperbolicSkeletonTransformer')
    assert sum(p.numel() for p in backbone.parameters()) == 6331904
    assert (backbone.num_segments, backbone.num_joints) == (24, 18)
    assert backbone.token_joints.tolist() == [
        2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 24
    ]
    assert backbone.trunk_joints.tolist() == [0, 1, 4, 8, 12, 16, 20]
    assert {backbone.blocks[0].norm1.eps, backbone.norm.eps} == {1e-5}
    assert backbone.blocks[0].gamma_1 is None


def test_every_trained_weight_of_the_public_code_and_no_more():
    sizes = dict(layer_scale=None, norm_eps=1e-5)
    model = part(
        'CrossMaskedModel',
        backbone=dict(type='HyperbolicSkeletonTransformer'),
        neck=dict(
            type='TransformerDecoder',
            num_segments=24,
            num_joints=18,
            depth=3,
            **sizes),
        target=dict(type='BallMotionTarget'),
        head=dict(type='RegressionHead', out_dims=9),
        mask_generator=dict(type='CrossMask'))
    assert sum(p.numel() for p in model.parameters()) == 9064535 - 283726
    frozen = {n for n in model.state_dict() if n.startswith('mask_generator')}
    assert frozen == {
        f'mask_generator.{x}.{y}'
        for x in ('l1', 'l2') for y in ('weight', 'bias')
    }
    weight = model.mask_generator.l1.weight
    assert weight.abs().max().item() == pytest.approx(
        (6 / 512)**.5, rel=1e-3)  # Xavier uniform
    assert model.mask_generator.l1.bias.eq(0).all()


def test_features_of_clips_and_absent_persons():
    backbone = part(
        'HyperbolicSkeletonTransformer',
        layout='kinect20',
        num_frames=FRAMES,
        embed_dims=16,
        depth=2,
        num_heads=2).eval()
    clips = walks(6).view(3, 2, FRAMES, 20, 3)
    full = backbone(clips)
    assert full.shape == (3, 2, 16, SEGMENTS, LIMBS)
    clips[1, 1] = 0
    feats = backbone(clips)
    assert feats[1, 1].eq(0).all()
    torch.testing.assert_close(feats[[0, 2]], full[[0, 2]])
    # The trunk is no part of the features.
    clips[:, :, :, backbone.trunk_joints] += clips[:, :, :, :1]
    torch.testing.assert_close(backbone(clips), feats)
    assert backbone.get_layer_depth('pos_embed.spatial') == (0, 4)
    assert backbone.get_layer_depth('blocks.1.norm1.weight') == (2, 4)
    assert backbone.get_layer_depth('norm.weight') == (3, 4)
    tokens = backbone.embed(clips[0])
    kept = torch.tensor([[3, 40, 7], [0, 77, 12]])
    torch.testing.assert_close(
        backbone.embed(clips[0], kept), gather_tokens(tokens, kept))
    assert (tokens.norm(dim=-1) < 1).all()


def test_a_layout_of_ones_own():
    layout = dict(
        name='chain',
        joints=tuple('abcd'),
        bones=((1, 0), (2, 1), (3, 2)),
        parts=dict(root=(2, 0), rest=(3, 1)),
        centre=0)
    backbone = part(
        'HyperbolicSkeletonTransformer',
        layout=layout,
        trunk='root',
        num_frames=4,
        patch_len=2,
        embed_dims=8,
        depth=1,
        num_heads=2)
    assert backbone.token_joints.tolist() == [1, 3]
    persons = walks(2, 4, 4)
    assert backbone.encode(persons).shape == (2, 4, 8)
    trunk = persons[:, :, [0, 2]]
    by_hand = ball_map(backbone.joint_embed(trunk)).view(2, 2, 2, 8).mean(2)
    torch.testing.assert_close(backbone.null_points(persons), by_hand)


# ------------------------------------------------------------------- the model


def test_target_is_the_motion_of_the_limbs_in_the_ball():
    model = build()
    persons = walks(2) * 10
    limbs = [
        j for j in range(20) if j not in KINECT20.parts['torso']
    ]
    motion = torch.zeros(2, FRAMES, LIMBS, 3)
    motion[:, :-1] = persons[:, 1:, limbs] - persons[:, :-1, limbs]
    plain, ball = motion, ball_map(motion)
    for target_map, frames in (('none', plain), ('ball', ball)):
        model.target.target_map = target_map
        token = frames[1, 3:6, 4].flatten()  # segment 1, joint 4
        token = (token - token.mean()) / (token.var() + 1e-6).sqrt()
        torch.testing.assert_close(
            model.target(persons)[1, LIMBS + 4], token, atol=1e-5, rtol=1e-4)
    assert (plain - ball).abs().max() > .1


def test_weights_and_alpha():
    data = build().data_preprocessor(batch())
    uniform = (torch.rand(5, 39), torch.rand(5, 39))
    plain = build()
    rec, contrast = losses_of(plain, data, uniform).values()
    assert rec > 0 and contrast > 0
    for options, factors in ((dict(rec_weight=2., contrast_weight=.5),
                              (2., .5)), (dict(alpha=.25), (.75, .25))):
        model = build(**options)
        model.load_state_dict(plain.state_dict())
        found = losses_of(model, data, uniform)
        torch.testing.assert_close(found['loss_rec'], factors[0] * rec)
        torch.testing.assert_close(found['loss_contrast'],
                                   factors[1] * contrast)


@pytest.mark.parametrize('slips', [False, True])
def test_every_parameter_gets_a_gradient(slips):
    model = build(
        mask_generator=dict(legacy_order=slips),
        neck=dict(unshuffle='rank' if slips else 'position'))
    data = model.data_preprocessor(batch())
    before = model.mask_generator.l1.weight.clone()
    loss, _ = model.parse_losses(model(mode='loss', **data))
    loss.backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.ne(0).any(), name
        assert param.grad.isfinite().all(), name
    torch.optim.SGD(model.parameters(), 1.).step()
    assert torch.equal(model.mask_generator.l1.weight, before)


@pytest.mark.parametrize('absent, persons', [
    (((0, 1), ), 1),
    (((0, 0), (0, 1)), 0),
])
def test_one_person_or_none(absent, persons):
    model = build()
    data = model.data_preprocessor(batch(1, absent))
    assert len(data['inputs']) == persons
    losses = model(mode='loss', **data)
    assert losses['loss_contrast'].item() == 0
    assert (losses['loss_rec'] > 0) == bool(persons)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('slips', [False, True])
def test_a_step_never_waits_for_the_device(slips):
    """Tensors without values: the host cannot read any."""
    model = build(
        mask_generator=dict(legacy_order=slips),
        neck=dict(unshuffle='rank' if slips else 'position'))
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        persons = fake.from_tensor(walks(5))
        losses = model(persons, mode='loss')
        assert losses['loss_rec'].shape == losses['loss_contrast'].shape == ()
        with pytest.raises(DataDependentOutputException):
            losses['loss_rec'].item()


def test_a_clip_in_which_nothing_moves_and_zero_vectors():
    model = build()
    data = model.data_preprocessor(batch())
    data['inputs'][0] = data['inputs'][0, :1]
    data['inputs'][1] = 1.  # all joints in one place
    # Tokens at exactly zero: no bias and no places, and an absent person.
    data['inputs'][2] = 0.
    with torch.no_grad():
        model.backbone.joint_embed.proj.bias.zero_()
        model.backbone.pos_embed.spatial.zero_()
        model.backbone.pos_embed.temporal.zero_()
    assert model.target(data['inputs'])[:3].eq(0).all()
    losses = model(mode='loss', **data)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_saturated_radii():
    """Uncentred data in millimetres put every token at the boundary."""
    model = build()
    data = model.data_preprocessor(batch())
    data['inputs'] = data['inputs'] * 1000 + 3000
    losses = model(mode='loss', **data)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_bfloat16_autocast_keeps_float32_islands():
    model = build()
    data = model.data_preprocessor(batch())
    uniform = (torch.rand(5, 39), torch.rand(5, 39))
    exact = losses_of(model, data, uniform)
    made = model.hide(data['inputs'], uniform=uniform)
    with torch.autocast('cpu', torch.bfloat16):
        assert model.backbone.joint_embed(
            data['inputs'][:, :, :LIMBS]).dtype == torch.bfloat16
        assert model.backbone.embed(data['inputs']).dtype == torch.float32
        assert model.target(data['inputs']).dtype == torch.float32
        low = model.hide(data['inputs'], uniform=uniform)
        assert torch.equal(low.rank, made.rank)
        scores = model.mask_generator.scores(
            torch.randn(1, 4, 3, 16).bfloat16(), torch.zeros(1, 4, 16))
        assert {score.dtype for score in scores} == {torch.float32}
        losses = losses_of(model, data, uniform)
    for name, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[name], atol=.02, rtol=0)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_absent_persons_are_no_negatives():
    model = build()
    data = batch(2, absent=((0, 1), ))
    uniform = (torch.rand(4, 39), torch.rand(4, 39))
    dropped = model.data_preprocessor(data)
    assert dropped['slots'].tolist() == [0, 2, 3]
    present = dropped['slots']
    less = losses_of(model, dropped, tuple(u[present] for u in uniform))
    model.data_preprocessor.skip_empty_persons = False
    every = model.data_preprocessor(data)
    more = losses_of(model, every, uniform)
    assert not torch.isclose(less['loss_contrast'], more['loss_contrast'])


def test_masks_are_drawn_anew():
    model = build()
    persons = walks(2)
    torch.manual_seed(3)
    one, other = model.hide(persons), model.hide(persons)
    assert not torch.equal(one.mask, other.mask)
    torch.manual_seed(3)
    assert torch.equal(model.hide(persons).mask, one.mask)
    # The temporal numbers are drawn first.
    torch.manual_seed(3)
    uniform = torch.rand(2, 39), torch.rand(2, 39)
    assert torch.equal(model.hide(persons, uniform=uniform).mask, one.mask)


def test_tensor_and_predict_modes():
    model = build()
    data = model.data_preprocessor(batch(views=3))
    feats = model(mode='tensor', **data)
    assert feats.shape == (15, SEGMENTS, LIMBS, 16)
    torch.manual_seed(1)
    rec = model(mode='loss', **data)['loss_rec'].detach()
    torch.manual_seed(1)
    samples = model(mode='predict', **data)
    assert samples[1].present.tolist() == [[True, False]] * 3
    for sample in samples:
        assert sample.mask.shape == (3, 2, SEGMENTS, LIMBS)
        assert sample.token_error.shape == sample.mask.shape
        assert sample.prediction.shape == sample.target.shape
        assert sample.target.shape == (3, 2, SEGMENTS, LIMBS, 9)
        hidden = sample.mask.sum((2, 3))[sample.present]
        assert hidden.eq(78 - 2 * 11).all()
    error = torch.cat(
        [s.token_error[s.mask & s.present[..., None, None]] for s in samples])
    torch.testing.assert_close(error.mean(), rec)


def test_collapse_monitor_sees_the_same_masks(tmp_path):
    data = batch(8, absent=((1, 1), ))
    clips = [
        dict(inputs=x, data_samples=s)
        for x, s in zip(data['inputs'], data['data_samples'])
    ]
    model = build()
    model.init_weights = lambda: None
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=DataLoader(clips, 4, collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        custom_hooks=[CollapseMonitorHook(interval=2, num_clips=8)],
        default_scope='mmaction',
        experiment_name=tmp_path.name,
        visualizer=dict(
            type='mmengine.Visualizer',
            name=tmp_path.name,
            vis_backends=[dict(type='LocalVisBackend')]))
    runner.train()
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text()
    found = [
        r['monitor/loss'] for r in map(json.loads, lines.splitlines())
        if 'monitor/loss' in r
    ]
    assert len(found) == 3 and found[0] > 0
    assert found == [found[0]] * 3


# --------------------------------------------------------------- several ranks


def shares(persons):
    """Unequal parts of a batch for two ranks, and its random numbers."""
    torch.manual_seed(5)
    data = walks(4)
    uniform = torch.rand(4, 39), torch.rand(4, 39)
    rows = dict(
        uneven=([0, 1, 2], [3]), one_empty=([], [0, 1, 2, 3]))[persons]
    return data, uniform, rows


def ranked_model(gather):
    torch.manual_seed(6)
    return build(contrast=dict(type='CrossContrastLoss', gather=gather))


def step(model, forward, persons, uniform):
    """Named losses and gradients of a step with given random numbers."""
    hide = model.hide
    model.hide = lambda inputs, *args: hide(inputs, *args, uniform=uniform)
    losses = forward(persons, mode='loss')
    sum(losses.values()).backward()
    grads = {n: p.grad for n, p in model.named_parameters()}
    return {k: v.item() for k, v in losses.items()}, {
        k: v.tolist() for k, v in grads.items()
    }


def one_rank(rank, port, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    found = {}
    for case in ('uneven', 'one_empty'):
        for gather in (True, False):
            persons, uniform, rows = shares(case)
            rows = torch.tensor(rows[rank], dtype=torch.long)
            model = ranked_model(gather)
            found[case, gather] = step(
                model, DistributedDataParallel(model), persons[rows],
                tuple(u[rows] for u in uniform))
    queue.put((rank, found))


def test_two_ranks_without_unused_parameters():
    queue = mp.get_context('spawn').Queue()
    context = mp.spawn(one_rank, (free_port(), queue), nprocs=2, join=False)
    try:
        ranks = dict(queue.get(timeout=240) for _ in range(2))
    finally:
        # Not joined, see tests/tools/test_distributed.py.
        for process in context.processes:
            process.kill()
    for case in ('uneven', 'one_empty'):
        persons, uniform, rows = shares(case)
        model = ranked_model(False)
        losses, grads = step(model, model, persons, uniform)
        for rank in (0, 1):
            # With gathering two ranks are one process.
            found_losses, found_grads = ranks[rank][case, True]
            assert found_losses == pytest.approx(losses, rel=1e-4)
            for name, grad in grads.items():
                torch.testing.assert_close(
                    torch.tensor(found_grads[name]), torch.tensor(grad),
                    atol=1e-5, rtol=1e-3, msg=name)
            # Without it, only the reconstruction is.
            local = ranks[rank][case, False][0]
            assert local['loss_rec'] == pytest.approx(
                losses['loss_rec'], rel=1e-4)
            own = rows[rank]
            alone = ranked_model(False)
            wanted, _ = step(alone, alone, persons[own],
                             tuple(u[own] for u in uniform))
            assert local['loss_contrast'] == pytest.approx(
                wanted['loss_contrast'], rel=1e-4, abs=1e-9)
        assert ranks[0][case, False][1] == ranks[1][case, False][1]


# ------------------------------------------------------- converter and errors


def test_converter_orders_drops_and_refuses():
    rows = torch.arange(7.).view(1, 7, 1, 1)
    public = dict(
        decoder_temp_embed=rows,
        temp_embed=rows,
        mask_token_t=torch.ones(1, 1, 4),
        mask_token_s=torch.zeros(1, 1, 4),
        mask_token=torch.zeros(1, 1, 4))
    for name in ('embed_t', 'embed_s', 'fc', 'fc_t', 'fc_s'):
        public[f'decoder_{name}.weight'] = torch.zeros(4, 4)
    public['l1.weight'] = torch.zeros(4, 4)
    ours = convert_state_dict(public, 'hacm')
    assert set(ours) == {
        'neck.pos_embed.temporal', 'backbone.pos_embed.temporal',
        'neck.mask_token', 'mask_generator.l1.weight'
    }
    # Listed first were the even segments 0, 2, 4, 6, then the odd ones.
    assert ours['neck.pos_embed.temporal'].flatten().tolist() == [
        0, 4, 1, 5, 2, 6, 3
    ]
    assert torch.equal(ours['backbone.pos_embed.temporal'], rows)
    assert ours['neck.mask_token'].eq(1).all()
    with pytest.raises(ValueError, match=r"not of hacm, such as \['l3"):
        convert_state_dict({**public, 'l3.weight': rows}, 'hacm')


def test_clear_errors():
    model = build()
    data = model.data_preprocessor(batch())
    mask = model.hide(data['inputs']).mask
    with pytest.raises(ValueError, match='remove the mask transform'):
        model(data['inputs'], mode='loss', mask=mask)
    with pytest.raises(ValueError, match="no mode 'train'"):
        model(data['inputs'], mode='train')
    with pytest.raises(ValueError, match="25 joints and layout 'kinect20'"):
        model(walks(1, joints=25), mode='loss')
    with pytest.raises(ValueError, match='set num_frames=21'):
        model(walks(1, 21), mode='loss')
    with pytest.raises(ValueError, match="unshuffle='rank'"):
        build(mask_generator=dict(legacy_order=True))
    with pytest.raises(ValueError, match="no part 'hull'.*'torso'"):
        build(backbone=dict(trunk='hull'))
    with pytest.raises(ValueError, match='hides everything of 39'):
        build(mask_generator=dict(mask_ratio=.99))
    with pytest.raises(ValueError, match='1 segment'):
        group_sizes(1, 18, .9)
    with pytest.raises(ValueError, match='tau=0 must be above 0'):
        build(mask_generator=dict(tau=0))
    with pytest.raises(ValueError, match="no select 'low'"):
        build(mask_generator=dict(select='low'))
    with pytest.raises(ValueError, match='distance_factor=0'):
        build(mask_generator=dict(distance_factor=0))
    with pytest.raises(ValueError, match="legacy_order='AD'"):
        build(mask_generator=dict(legacy_order='AD'))
    with pytest.raises(ValueError, match='alpha=0.5 stands for both'):
        build(alpha=.5, rec_weight=2.)
    with pytest.raises(ValueError, match='rec_weight=-1'):
        build(alpha=2)
    with pytest.raises(ValueError, match="no target_map 'disk'"):
        build(target=dict(type='BallMotionTarget', target_map='disk'))
    for pairs in ([('a', 'c')], [('a', )], []):
        with pytest.raises(ValueError, match='pair'):
            CrossContrastLoss(pairs=pairs)
    neck = build(neck=dict(unshuffle='rank')).neck
    with pytest.raises(ValueError, match='needs the ranking behind the mask'):
        neck(torch.zeros(1, 4, 16), model.hide(data['inputs']).indices)
