# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The re-weighted cosine error, by hand."""
import pytest
import torch

from skel_ssl.models.heads import CosineErrorHead


def test_known_angles():
    head = CosineErrorHead(beta=2.)
    x = torch.randn(7, 16)
    side = torch.randn(7, 16)
    side -= (side * x).sum(1, keepdim=True) / x.square().sum(
        1, keepdim=True) * x
    for pred, expected in ((3.7 * x, 0.), (-.2 * x, 4.), (side, 1.)):
        error = head.token_error(pred, x)
        torch.testing.assert_close(
            error, torch.full((7, ), expected), atol=1e-5, rtol=0)
    assert CosineErrorHead(beta=3.).token_error(-x, x).allclose(
        torch.tensor(8.))


def test_the_length_does_not_count():
    head = CosineErrorHead()
    pred, target = torch.randn(2, 30, 64)
    scale = torch.rand(30, 1) * 100 + .01
    torch.testing.assert_close(
        head.token_error(pred * scale, target),
        head.token_error(pred, target),
        atol=1e-5,
        rtol=1e-5)


def test_loss_is_the_mean_of_the_formula():
    pred, target = torch.randn(2, 12, 8)
    terms = [(1 - a @ b / (a.norm() * b.norm()))**2
             for a, b in zip(pred, target)]
    torch.testing.assert_close(CosineErrorHead().loss(pred, target)['loss'],
                               sum(terms) / 12)


@pytest.mark.parametrize('beta', [1., 2., 3.])
@pytest.mark.parametrize('hidden', [4, 9])
def test_literal_scale(beta, hidden):
    """Equation 2 as printed is n^(1 - beta) times the mean."""
    pred, target = torch.randn(2, 5 * hidden, 8)
    counts = torch.full((5 * hidden, ), float(hidden))
    mean = CosineErrorHead(beta).loss(pred, target)['loss']
    printed = CosineErrorHead(beta, literal=True).loss(pred, target,
                                                       counts)['loss']
    torch.testing.assert_close(printed / mean,
                               torch.tensor(float(hidden))**(1 - beta))
    if beta == 2:  # the ratios of the specification
        assert float(printed / mean) == pytest.approx(
            {4: .25, 9: .111}[hidden], abs=2e-4)


def test_literal_with_graphs_of_different_numbers():
    """As printed, graph by graph, and the mean over graphs."""
    sizes = (2, 5, 1)
    pred, target = torch.randn(2, sum(sizes), 8)
    counts = torch.cat([torch.full((n, ), float(n)) for n in sizes])
    total = 0.
    for p, t in zip(pred.split(sizes), target.split(sizes)):
        n = len(p)
        cosine = torch.cosine_similarity(p, t)
        total += (1 / n - cosine / n).square().sum()
    loss = CosineErrorHead(literal=True).loss(pred, target, counts)['loss']
    torch.testing.assert_close(loss, total / 3)


def test_nothing_hidden():
    empty = torch.zeros(0, 8, requires_grad=True)
    for head, counts in ((CosineErrorHead(), ()),
                         (CosineErrorHead(literal=True), (torch.zeros(0), ))):
        loss = head.loss(empty, empty, *counts)['loss']
        assert loss.item() == 0
        loss.backward()


def test_autocast_stays_in_float32():
    pred, target = torch.randn(2, 64, 16)
    exact = CosineErrorHead().token_error(pred, target)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(CosineErrorHead().token_error(pred, target), exact)
        low = CosineErrorHead().token_error(pred.bfloat16(), target)
        assert low.dtype == torch.float32


def test_wrong_exponent():
    for beta in (0, .5, float('nan')):
        with pytest.raises(ValueError, match=f'beta={beta} must be 1 or more'):
            CosineErrorHead(beta=beta)
