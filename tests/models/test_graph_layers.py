# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Graph layers do what their formulas say, on any numbering of the joints."""
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skel_ssl.datasets import get_layout
from skel_ssl.models.ops.graph import (
    GATLayer,
    GCNLayer,
    GINLayer,
    adjacency_matrix,
    make_layer,
    normalised_adjacency,
)

KINDS = ('gin', 'gcn', 'gat')
BODIES = ('coco17', 'coco', 'kinect20', 'ntu25')


def layer_of(kind, layout='coco17', seed=0, **kwargs):
    torch.manual_seed(seed)
    layer = make_layer(kind, adjacency_matrix(layout), 8, 12, 16, **kwargs)
    for param in layer.parameters():
        if param.ndim == 1:
            nn.init.normal_(param)  # batch norms and biases have a say
    return layer


def neighbours(layout):
    near = {joint: set() for joint in range(get_layout(layout).num_joints)}
    for one, other in get_layout(layout).edges:
        near[one].add(other)
        near[other].add(one)
    return near


@pytest.mark.parametrize('layout', BODIES)
@pytest.mark.parametrize('eps, self_loop', [(0., False), (.5, False),
                                            (0., True)])
def test_gin_is_a_loop_over_neighbours(layout, eps, self_loop):
    layer = layer_of('gin', layout, eps=eps, self_loop=self_loop)
    h = torch.randn(3, get_layout(layout).num_joints, 8)
    summed = torch.empty_like(h)
    for graph in range(len(h)):
        for joint, near in neighbours(layout).items():
            if self_loop:
                near = near | {joint}
            summed[graph, joint] = (1 + eps) * h[graph, joint] + sum(
                h[graph, other] for other in near)
    rows = layer.act1(layer.norm1(layer.fc1(summed).flatten(0, 1)))
    expected = layer.act(layer.norm(layer.fc2(rows))).view(*h.shape[:2], 12)
    torch.testing.assert_close(layer(h), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('training', [True, False])
def test_relabelling_the_joints_relabels_the_output(kind, training):
    body = get_layout('coco17')
    order = torch.randperm(17)
    place = order.argsort().tolist()  # where a joint is now

    def moved(pairs):
        return tuple((place[a], place[b]) for a, b in pairs)

    relabelled = dataclasses.replace(
        body,
        joints=tuple(body.joints[i] for i in order),
        bones=moved(body.bones),
        edges=moved(body.edges),
        flip_pairs=moved(body.flip_pairs),
        parts={k: tuple(place[j] for j in v)
               for k, v in body.parts.items()},
        centre=place[body.centre])
    layer = layer_of(kind).train(training)
    other = layer_of(kind, relabelled).train(training)
    other.load_state_dict(layer.state_dict())
    h = torch.randn(5, 17, 8)
    torch.testing.assert_close(
        other(h[:, order]), layer(h)[:, order], atol=1e-5, rtol=1e-5)


def test_gcn_is_its_formula():
    layer = layer_of('gcn', norm_act=False)
    h = torch.randn(4, 17, 8)
    near = neighbours('coco17')
    degree = {joint: len(others) + 1 for joint, others in near.items()}
    for joint, others in near.items():
        mixed = sum(h[:, other] / (degree[joint] * degree[other])**.5
                    for other in others | {joint})
        torch.testing.assert_close(layer(h)[:, joint], layer.fc(mixed))


def test_gat_is_its_formula():
    layer = layer_of('gat', norm_act=False, num_heads=3)
    h = torch.randn(2, 17, 8)
    heads = layer.fc(h).view(2, 17, 3, 4)
    for joint, others in neighbours('coco17').items():
        around = sorted(others | {joint})
        for head in range(3):
            scores = torch.stack([
                F.leaky_relu(heads[:, joint, head] @ layer.receive[head] +
                             heads[:, other, head] @ layer.send[head], .2)
                for other in around
            ], 1)
            expected = (scores.softmax(1)[..., None] *
                        heads[:, around, head]).sum(1)
            places = slice(4 * head, 4 * head + 4)
            torch.testing.assert_close(
                layer(h)[:, joint, places] - layer.bias[places], expected)


@pytest.mark.parametrize('kind', KINDS)
def test_a_layer_sees_neighbours_and_no_one_else(kind):
    layer = layer_of(kind).eval()
    h = torch.randn(1, 17, 8, requires_grad=True)
    for joint, near in neighbours('coco17').items():
        grad, = torch.autograd.grad(layer(h)[0, joint].sum(), h)
        seen = set(grad[0].abs().sum(1).nonzero()[:, 0].tolist())
        assert seen == near | {joint}


@pytest.mark.parametrize('kind', KINDS)
def test_nobody_leaves_the_statistics_alone(kind):
    layer = layer_of(kind)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    out = layer(torch.zeros(0, 17, 8))
    assert out.shape == (0, 17, 12)
    out.sum().backward()
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name
    for name, param in layer.named_parameters():
        assert param.grad is not None, name


@pytest.mark.parametrize('layout', BODIES)
def test_adjacency(layout):
    adjacency = adjacency_matrix(layout)
    assert torch.equal(adjacency, adjacency.T)
    assert adjacency.diagonal().eq(0).all()
    assert adjacency.sum() == 2 * len(get_layout(layout).edges)
    # The normalised one's largest eigenvalue is 1, at the degrees' root.
    normal = normalised_adjacency(adjacency)
    root = (adjacency.sum(1) + 1).sqrt()
    torch.testing.assert_close(normal @ root, root)


def test_the_operator_is_not_in_the_state_dict():
    for kind in (GINLayer, GCNLayer, GATLayer):
        kwargs = dict(hidden_dims=8) if kind is GINLayer else {}
        layer = kind(adjacency_matrix('coco17'), 8, 8, **kwargs)
        assert 'operator' not in layer.state_dict()


@pytest.mark.parametrize('wrong, message', [
    (dict(kind='sage'), "no layer 'sage'"),
    (dict(act='gelu'), "no activation 'gelu'"),
    (dict(kind='gat', num_heads=5), 'num_heads=5'),
])
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        layer_of(**{'kind': 'gin', **wrong})
