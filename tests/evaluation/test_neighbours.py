# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""kNN and retrieval against brute force and scikit-learn."""
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from skel_ssl.evaluation.neighbours import (
    average_precision,
    evaluate_neighbours,
    sort_gallery,
    vote,
)


@pytest.fixture
def data():
    """90 clips to look up and 700 (more than a chunk) to look for."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(790, 6, generator=generator)
    y = torch.randint(0, 5, (790, ), generator=generator)
    x += 1.5 * torch.eye(6)[y]
    return x[:90], y[:90], x[90:], y[90:]


def brute_force(gallery, labels, query, k, temperature):
    found = []
    for q in query:
        near = sorted(
            (-float(q @ g / (q.norm() * g.norm())), i)
            for i, g in enumerate(gallery))[:k]
        votes = {}
        for negative, i in near:
            weight = 1 if temperature is None else math.exp(
                -negative / temperature)
            label = int(labels[i])
            votes[label] = votes.get(label, 0) + weight
        most = max(votes.values())
        found.append(min(c for c, v in votes.items() if v == most))
    return found


@pytest.mark.parametrize('temperature', [.07, None])
@pytest.mark.parametrize('k', [1, 2, 20, 90])
def test_knn_is_brute_force(data, k, temperature):
    gallery, labels, query, truth = data
    expected = brute_force(gallery, labels, query, k, temperature)
    similarity, index = (
        torch.cat(parts)
        for parts in zip(*sort_gallery(query, gallery, chunk=64)))
    found = vote(similarity[:, :k], labels[index[:, :k]], 5, temperature)
    # Two sums of float32 and float64 may part where classes tie.
    agree = (found == torch.tensor(expected)).double().mean()
    assert agree > .995
    figures = evaluate_neighbours(
        gallery, labels, query, truth, ks=[k], temperature=temperature)
    accuracy = np.mean(np.array(expected) == truth.numpy())
    assert figures[f'knn_k{k}'] == pytest.approx(accuracy, abs=.005)


@pytest.mark.parametrize('k', [1, 7])
def test_majority_is_that_of_scikit_learn(data, k):
    gallery, labels, query, truth = data
    oracle = KNeighborsClassifier(k, metric='cosine', algorithm='brute')
    expected = oracle.fit(gallery, labels).score(query, truth)
    found = evaluate_neighbours(*data, ks=[k], temperature=None)
    assert found[f'knn_k{k}'] == pytest.approx(expected, abs=1e-12)


def test_a_number_that_is_named_twice(data):
    once = evaluate_neighbours(*data, ks=[1, 3], recalls=[2], retrieval=True)
    twice = evaluate_neighbours(
        *data, ks=[1, 3, 1], recalls=[2, 2], retrieval=True)
    assert once == twice


def test_one_neighbour_needs_no_temperature(data):
    found = {
        evaluate_neighbours(*data, ks=[1], temperature=t)['knn_k1']
        for t in (None, .001, .07, 10)
    }
    assert len(found) == 1


def test_ties_go_to_the_first_of_the_gallery():
    gallery = torch.tensor([[1., 0.], [2., 0.], [.5, 0.], [0., 1.]])
    _, index = next(sort_gallery(torch.tensor([[3., 0.]]), gallery))
    assert index.tolist() == [[0, 1, 2, 3]]
    votes = vote(torch.ones(1, 4), torch.tensor([[2, 1, 1, 2]]), 3)
    assert votes.tolist() == [1]


def test_retrieval(data):
    gallery, labels, query, truth = data
    found = evaluate_neighbours(*data, ks=(), recalls=(1, 5))
    unit = torch.nn.functional.normalize
    similarity = unit(query) @ unit(gallery).T
    precision, hits = [], {1: [], 5: []}
    for row, label in zip(similarity.numpy(), truth.numpy()):
        relevant = labels.numpy() == label
        precision.append(average_precision_score(relevant, row))
        for n in hits:
            hits[n].append(relevant[np.argsort(-row)[:n]].any())
    assert found['map'] == pytest.approx(np.mean(precision), abs=1e-6)
    for n, values in hits.items():
        assert found[f'recall_{n}'] == pytest.approx(np.mean(values))
    assert found['recall_1'] == evaluate_neighbours(*data, ks=[1])['knn_k1']


def test_average_precision_by_hand():
    relevant = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert average_precision(relevant.bool()).tolist() == pytest.approx(
        [(1 + 2 / 3) / 2, 0, 1])


@pytest.mark.parametrize('kwargs, message', [
    (dict(ks=[91]), 'k=91 neighbours of a gallery of 90 clips: choose 1 to'),
    (dict(ks=[0]), 'k=0 neighbours'),
    (dict(recalls=[100]), 'k=100 neighbours'),
])
def test_too_many_neighbours(data, kwargs, message):
    with pytest.raises(ValueError, match=message):
        evaluate_neighbours(*data, **kwargs)


def test_nothing_to_look_up(data):
    gallery, labels, query, truth = data
    with pytest.raises(ValueError, match='a gallery of 0'):
        evaluate_neighbours(gallery[:0], labels[:0], query, truth)
