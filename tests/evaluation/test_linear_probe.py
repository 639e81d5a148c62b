# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The probe on cached features."""
import pytest
import torch
from torch import nn

from skel_ssl.engine.schedulers import warmup_cosine
from skel_ssl.evaluation.linear_probe import probe_accuracy, train_probes
from tests.evaluation.clouds import clouds


def test_it_is_the_plain_loop():
    """Batch norm, linear, SGD and cosine, written out for one rate."""
    x, y = clouds(50)
    epochs, batch, lr = 3, 16, .3
    probes = train_probes(
        x, y, 4, [.01, lr], seed=5, epochs=epochs, batch_size=batch)

    generator = torch.Generator().manual_seed(5)
    start = torch.empty(4, 6)
    nn.init.trunc_normal_(start, std=.01, generator=generator)
    model = nn.Sequential(
        nn.BatchNorm1d(6, eps=1e-6, affine=False), nn.Linear(6, 4))
    with torch.no_grad():
        model[1].weight.copy_(start)
        model[1].bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=.9)
    steps = 4  # of 16, 16, 16 and 2 clips
    for epoch in range(epochs):
        order = torch.randperm(50, generator=generator)
        for step, part in enumerate(order.split(batch)):
            factor = warmup_cosine(epoch * steps + step, 0, epochs * steps, 0)
            optimizer.param_groups[0]['lr'] = lr * factor
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            probes(x)[:, 1], model(x), rtol=0, atol=1e-5)


def test_rates_side_by_side_do_not_meet():
    x, y = clouds(100)
    both = train_probes(x, y, 4, [.1, 1.], epochs=3)
    for i, lr in enumerate((.1, 1.)):
        alone = train_probes(x, y, 4, [lr], epochs=3)
        torch.testing.assert_close(
            both.weights[i], alone.weights[0], rtol=0, atol=1e-6)


def test_it_learns():
    x, y = clouds(noise=.3)
    test_x, test_y = clouds(100, seed=1, noise=.3)
    probes = train_probes(x, y, 4, [.1], epochs=20, batch_size=64)
    assert probe_accuracy(probes, test_x, test_y)[0] > .9


def test_the_seed_is_all_that_is_random():
    x, y = clouds(100, noise=2.)
    first, again, other = (
        train_probes(x, y, 4, [.1], seed=s, epochs=2) for s in (0, 0, 1))
    assert torch.equal(first.weights[0], again.weights[0])
    assert not torch.equal(first.weights[0], other.weights[0])


def test_accuracy_by_hand():
    probes = train_probes(*clouds(10), 4, [.1], epochs=1)
    x, y = clouds(30, seed=2)
    with torch.no_grad():
        logits = probes(x)[:, 0]
    assert probe_accuracy(probes, x, y)[0] == pytest.approx(
        (logits.argmax(1) == y).double().mean())
    second = (logits.argsort(1, descending=True)[:, :2] == y[:, None]).any(1)
    found = probe_accuracy(probes, x, y, topk=(1, 2, 5))[:, 0].tolist()
    assert found[0] == probe_accuracy(probes, x, y)[0]
    assert found[1] == pytest.approx(float(second.double().mean()))
    assert found[2] == 1  # there are four classes


def test_a_last_batch_of_one_clip():
    """Batch norm cannot standardise it: 33 clips make two batches."""
    x, y = clouds(33)
    assert all(p.isfinite().all()
               for p in train_probes(x, y, 4, [.1], 0, 2, 16).parameters())
    with pytest.raises(ValueError, match='on 1 clip'):
        train_probes(x[:1], y[:1], 4, [.1])
