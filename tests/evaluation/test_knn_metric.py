# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""kNN accuracy against a loop over queries and neighbours."""
import math

import pytest
import torch

from skel_ssl.evaluation import KNNMetric


def make_samples(features, labels, in_gallery):
    """What the evaluator hands over: data samples as dicts."""
    return [
        dict(
            feature=feature,
            gt_label=torch.tensor([label]),
            split='xsub_train' if gallery else 'xsub_val')
        for feature, label, gallery in zip(features, labels, in_gallery)
    ]


def evaluate(samples, **kwargs):
    metric = KNNMetric(gallery_split='xsub_train', **kwargs)
    for start in range(0, len(samples), 4):  # batch by batch
        metric.process({}, samples[start:start + 4])
    return metric.evaluate(len(samples))


def cosine(one, other):
    dot = sum(a * b for a, b in zip(one, other))
    return dot / math.hypot(*one) / math.hypot(*other)


def brute_force(samples, k, temperature):
    """The accuracy, one query and one neighbour at a time."""
    gallery = [s for s in samples if s['split'] == 'xsub_train']
    queries = [s for s in samples if s['split'] != 'xsub_train']
    hits = 0
    for query in queries:
        scored = sorted(((cosine(query['feature'].tolist(),
                                 s['feature'].tolist()), int(s['gt_label']))
                         for s in gallery), reverse=True)
        votes = {}
        for similarity, label in scored[:k]:
            weight = 1
            if temperature is not None and k > 1:
                weight = math.exp(similarity / temperature)
            votes[label] = votes.get(label, 0) + weight
        # The lowest class wins a tie.
        winner = min(votes, key=lambda label: (-votes[label], label))
        hits += winner == int(query['gt_label'])
    return hits / len(queries)


@pytest.fixture
def samples():
    """Three overlapping classes, gallery and queries interleaved."""
    labels = torch.arange(120) % 3
    centres = torch.randn(3, 5)
    features = centres[labels] + 1.5 * torch.randn(120, 5)
    features *= torch.rand(120, 1) * 10 + .1  # the length does not count
    in_gallery = torch.arange(120) % 5 < 3
    return make_samples(features, labels.tolist(), in_gallery.tolist())


def test_brute_force(samples):
    ks, values = (1, 2, 5, 20, 72), set()
    for temperature in (.02, .07, 1., None):
        found = evaluate(samples, ks=ks, temperature=temperature)
        assert found == {
            f'knn/top1_k{k}': brute_force(samples, k, temperature)
            for k in ks
        }
        values.update(found.values())
    assert len(values) > 4  # the settings matter for these samples


def test_near_neighbours_weigh_more_by_hand():
    """One close neighbour of class 0 against two distant ones of class 1."""
    features = torch.tensor([[1., 0.], [1., 1.], [1., -1.], [1., .01]])
    samples = make_samples(features, [0, 1, 1, 0], [True, True, True, False])
    assert evaluate(samples, ks=(3, )) == {'knn/top1_k3': 1.}
    assert evaluate(samples, ks=(3, ), temperature=None) == {'knn/top1_k3': 0.}
    # Two votes of weight exp(.71 / t) win over one of exp(1 / t) if t is high.
    assert evaluate(samples, ks=(3, ), temperature=1.) == {'knn/top1_k3': 0.}


def test_one_neighbour_has_no_temperature(samples):
    """Even one at which every weight would underflow to 0."""
    assert evaluate(
        samples, ks=(1, ), temperature=1e-6) == evaluate(
            samples, ks=(1, ), temperature=None)


def test_half_precision_features(samples):
    for sample in samples:
        sample['feature'] = sample['feature'].bfloat16()
    assert evaluate(samples, ks=(5, )) == {
        'knn/top1_k5': brute_force(samples, 5, .07)
    }


def test_k_beyond_the_gallery(samples):
    with pytest.raises(ValueError, match='k=73 .* gallery of 72 clips'):
        evaluate(samples, ks=(1, 73))


@pytest.mark.parametrize('split, count', [
    ('xsub_val', 0),
    ('xsub_train', 120),
])
def test_gallery_and_queries_are_both_needed(samples, split, count):
    for sample in samples:
        sample['split'] = split
    with pytest.raises(
            ValueError,
            match=f"^{count} of 120 clips .* gallery split 'xsub_train'"):
        evaluate(samples, ks=(1, ))
