# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The probe at its optimum."""
import warnings

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skel_ssl.evaluation.frozen import Settings
from skel_ssl.evaluation.linear_probe import probe_accuracy, train_probes
from skel_ssl.evaluation.logistic_probe import fit_probes
from tests.evaluation.clouds import clouds


@pytest.mark.parametrize('penalty', [1e-3, 1e-1])
@pytest.mark.parametrize('classes', [2, 4])
def test_it_is_the_optimum_of_scikit_learn(penalty, classes):
    x, y = clouds(200, classes, noise=1.5)
    found = fit_probes(x, y, classes, [penalty])(x)[:, 0].softmax(1)
    # Their C weighs the sum of the losses. Of two classes they have but one
    # weight, which bears the penalty of both.
    standard = StandardScaler().fit(x.numpy())
    reference = LogisticRegression(
        C=(1 if classes > 2 else 2) / (penalty * len(x)), tol=1e-8)
    reference.fit(standard.transform(x.numpy()), y.numpy())
    expected = reference.predict_proba(standard.transform(x.numpy()))
    torch.testing.assert_close(
        found.detach(), torch.from_numpy(expected).float(), rtol=0, atol=5e-3)


def test_each_penalty_has_its_own_optimum_in_its_own_place():
    x, y = clouds(200, noise=1.5)
    penalties = [1e-2, 1e-4, 1.]
    together = fit_probes(x, y, 4, penalties)(x)
    for i, penalty in enumerate(penalties):
        alone = fit_probes(x, y, 4, [penalty])(x)[:, 0]
        torch.testing.assert_close(
            together[:, i].softmax(1), alone.softmax(1), rtol=0, atol=1e-2)
    spread = together.std(-1).mean(0).tolist()
    assert spread[1] > spread[0] > spread[2]  # weaker penalty, larger logits


def test_it_reads_what_sgd_does_not_reach():
    """Features that nearly agree, and differ in what tells the classes."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    common = torch.randn(200, 1, generator=generator)
    noise = .003 * torch.randn(200, 6, generator=generator)
    x = common + noise
    x[:, 0] += .009 * y
    sgd = train_probes(x, y, 2, [.1], epochs=100)
    assert probe_accuracy(sgd, x, y)[0] < .7
    assert probe_accuracy(fit_probes(x, y, 2, [1e-5]), x, y)[0] > .85


def test_all_views_count():
    x, y = clouds(100, noise=1.5)
    views = torch.stack([x, x + torch.randn(x.shape)])
    both = fit_probes(views, y, 4, [.01])
    flat = fit_probes(views.flatten(0, 1), y.repeat(2), 4, [.01])
    assert torch.equal(both.weights[0], flat.weights[0])
    assert not torch.equal(both.weights[0],
                           fit_probes(x, y, 4, [.01]).weights[0])


def test_constant_features_and_absent_classes():
    x, y = clouds(100)
    x = torch.cat([x, torch.full((100, 2), 3.)], 1)
    probes = fit_probes(x, y, 7, [1e-3])
    assert all(p.isfinite().all() for p in probes.parameters())
    assert int(probes(x).argmax(-1).max()) < 4


def test_nothing_is_random_and_steps_are_counted():
    x, y = clouds(100)
    fits = []
    first = fit_probes(x, y, 4, [.1, .01], on_fit=lambda: fits.append(1))
    torch.manual_seed(5)
    assert torch.equal(first(x), fit_probes(x, y, 4, [.1, .01])(x))
    assert len(fits) == 2


def test_stopping_early_is_said():
    x, y = clouds(200, noise=1.5)
    with pytest.warns(UserWarning, match='penalty=1e-05 on 200 features of 6'):
        fit_probes(x, y, 4, [1e-5], max_iterations=2)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        fit_probes(x, y, 4, [1e-5])


@pytest.mark.parametrize('penalty', [0., -1., float('nan')])
def test_no_penalty(penalty):
    with pytest.raises(ValueError, match=f'{penalty} must be above 0'):
        fit_probes(*clouds(20), 4, [.1, penalty])
    with pytest.raises(ValueError, match=f'{penalty} must be above 0'):
        Settings(penalties=(.1, penalty))
