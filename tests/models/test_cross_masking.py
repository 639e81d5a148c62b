# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Cross masks: both criteria, the draw, and where tokens stand."""

import pytest
import torch
from torch import nn

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
)
from tests.models.hacm_parts import (
    LIMBS,
    SEGMENTS,
    build,
    part,
    walks,
)

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
