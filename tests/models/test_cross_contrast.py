# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The cross-contrast of the two groups."""
from itertools import combinations

import pytest
import torch

from skel_ssl.models.losses import CrossContrastLoss
from skel_ssl.models.losses.cross_contrast import cross_contrast


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
