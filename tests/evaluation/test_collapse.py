# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The figures of a collapse against definitions and cases by hand."""
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from skel_ssl.evaluation.collapse import (
    ChannelMoments,
    channel_std,
    collapsed,
    constant_predictor_loss,
    diagnose_features,
    effective_rank,
    mean_pairwise_cosine,
    relative_spread,
)
from skel_ssl.registry import MODELS


def orthonormal(n, d):
    return torch.linalg.qr(torch.randn(n, d, dtype=torch.float64))[0]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_the_rank_of_identical_rows_is_1(dtype):
    rows = torch.randn(6, dtype=dtype).expand(50, 6)
    assert effective_rank(rows) == pytest.approx(1, abs=1e-4)
    assert effective_rank(rows, centre=True) == 1
    assert effective_rank(torch.zeros(5, 3)) == 1


def test_rounding_errors_have_no_rank():
    """Equal up to float32: the rank of the noise would be about 6."""
    rows = torch.randn(6).expand(50, 6) * (1 + 1e-7 * torch.randn(50, 6))
    assert rows.std(0).max() > 0
    assert effective_rank(rows, centre=True) == 1


@pytest.mark.parametrize('n, d', [(8, 8), (20, 8), (5, 5)])
def test_the_rank_of_an_orthonormal_set_is_its_size(n, d):
    assert effective_rank(orthonormal(n, d)) == pytest.approx(d, rel=1e-4)


def test_the_rank_of_known_singular_values():
    """3 : 1, so p = 3/4 and 1/4."""
    z = orthonormal(9, 2) @ torch.diag(torch.tensor([3., 1.]).double())
    wanted = math.exp(-.75 * math.log(.75) - .25 * math.log(.25))
    assert effective_rank(z) == pytest.approx(wanted, rel=1e-4)
    # A common mean hides them, and centring takes it away.
    line = torch.tensor([[-1., 0, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0]])
    assert effective_rank(line + 100., centre=True) == pytest.approx(
        1, abs=1e-4)
    square = torch.tensor([[1., 0], [-1, 0], [0, 1], [0, -1]])
    assert effective_rank(square + 1e3) < 1.1
    assert effective_rank(square + 1e3, centre=True) == pytest.approx(
        2, rel=1e-4)


def test_the_cosine_is_the_mean_over_all_pairs():
    z = torch.randn(7, 4) + .5
    z[3] = 0
    pairs = [
        F.cosine_similarity(z[i].double(), z[j].double(), dim=0).item()
        for i, j in itertools.permutations(range(7), 2)
    ]
    assert mean_pairwise_cosine(z) == pytest.approx(sum(pairs) / len(pairs))
    assert mean_pairwise_cosine(torch.ones(3, 2)) == pytest.approx(1)
    opposite = torch.tensor([[1., 0.], [-2., 0.]])
    assert mean_pairwise_cosine(opposite) == pytest.approx(-1)
    with pytest.raises(ValueError, match='2 rows or more, got 1'):
        mean_pairwise_cosine(z[:1])


def test_the_spread_by_hand():
    z = torch.tensor([[3., 1.], [5., 1.]])
    # Variances 1 and 0; mean square (9 + 25 + 1 + 1) / 4.
    assert relative_spread(z) == pytest.approx((.5 / 9)**.5)
    assert channel_std(z).tolist() == [1, 0]
    assert relative_spread(torch.zeros(4, 2)) == 0
    assert relative_spread(z - z.mean(0)) == pytest.approx(1)


def test_a_constant_has_the_mean_variance_as_its_squared_error():
    target = torch.randn(30, 5) * torch.rand(5) + torch.randn(5)

    def squared(pred, target):
        return (pred - target).square().mean(-1)

    loss = constant_predictor_loss(target, squared)
    torch.testing.assert_close(loss, target.var(0, correction=0).mean())
    # Of all constants, the mean is the best one for this error.
    worse = target.mean(0) + .1
    assert squared(worse, target).mean() > loss


def test_moments_of_batches_are_those_of_all_rows():
    rows = 5000 + torch.randn(60, 3)
    one, other = ChannelMoments(), ChannelMoments()
    for batch in rows[:40].split([7, 1, 0, 32]):
        one.update(batch)
    other.update(rows[40:].unflatten(0, (4, 5)))
    for moments, part in ((one, rows[:40]), (other, rows[40:]),
                          (one.merged(other), rows)):
        assert moments.count == len(part)
        wanted = part.double().std(0, correction=0)
        torch.testing.assert_close(moments.std, wanted, rtol=1e-4, atol=0)
        assert moments.spread == pytest.approx(
            relative_spread(part), rel=1e-4)
    assert one.count == 40
    zeros = ChannelMoments()
    zeros.update(torch.zeros(3, 2))
    assert zeros.spread == 0


def test_the_figures_of_features():
    z = torch.randn(40, 6) * torch.tensor([5., 1, 1, 1, 1, 1]) + 2
    figures = diagnose_features(z)
    var = torch.linalg.eigvalsh(torch.cov(z.T))
    assert figures['top_share'] == pytest.approx(
        (var[-1] / var.sum()).item(), rel=1e-4)
    assert figures['rank'] == effective_rank(z)
    assert figures['rank_centred'] == pytest.approx(effective_rank(z, True))
    assert figures['cosine'] == mean_pairwise_cosine(z)
    assert figures['spread'] == relative_spread(z)
    assert figures['max_rank'] == 6
    assert diagnose_features(z[:4])['max_rank'] == 3


def features(seed, clips, constant=False):
    """Pooled features of a freshly initialised encoder."""
    init_default_scope('mmaction')
    torch.manual_seed(seed)
    encoder = MODELS.build(
        dict(
            type='SkeletonTransformer',
            num_frames=12,
            embed_dims=32,
            depth=3,
            num_heads=4))
    encoder.init_weights()
    if constant:
        encoder.joint_embed.proj.weight.data.zero_()
    with torch.no_grad():
        return encoder.encode(clips).mean(1)


def poses(scale=1.):
    """Clips of one pose with small movements."""
    pose = torch.randn(1, 1, 25, 3)
    person = .3 * torch.randn(64, 1, 25, 3)
    return scale * (pose + person + .1 * torch.randn(64, 12, 25, 3))


@pytest.mark.parametrize('seed', range(3))
def test_an_untrained_encoder_has_not_collapsed(seed):
    for clips in (torch.randn(64, 12, 25, 3), poses(), poses(.2)):
        assert collapsed(diagnose_features(features(seed, clips))) is None


def test_a_large_common_mean_is_no_collapse():
    z = torch.randn(64, 16) + 10
    figures = diagnose_features(z)
    assert figures['cosine'] > .98
    assert collapsed(figures) is None


@pytest.mark.parametrize('noise', [0, 1e-6, 1e-3])
def test_a_constant_encoder_has_collapsed(noise):
    z = features(0, poses(), constant=True)
    z = z + noise * z.std() * torch.randn_like(z)
    reason = collapsed(diagnose_features(z))
    assert 'the features are constant' in reason
    zeros = diagnose_features(torch.zeros(9, 8))
    assert 'they vary by 0 of their size' in collapsed(zeros)


def test_features_on_a_line_have_collapsed():
    line = torch.randn(64, 1) @ torch.randn(1, 16)
    for z in (line, line + 3, line + 1e-3 * torch.randn(64, 16)):
        assert 'lie on a line' in collapsed(diagnose_features(z))
    plane = torch.randn(64, 2) @ torch.randn(2, 16)
    assert collapsed(diagnose_features(plane)) is None


def test_two_clips_are_on_a_line_by_nature():
    figures = diagnose_features(torch.randn(2, 16))
    assert figures['top_share'] == pytest.approx(1)
    assert collapsed(figures) is None


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_what_is_not_finite_has_collapsed(bad):
    z = torch.randn(9, 8)
    z[4, 2] = bad
    assert 'not finite' in collapsed(diagnose_features(z))
    assert math.isnan(effective_rank(z))
