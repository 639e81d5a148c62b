# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Opt-in savings: some of the hidden tokens, several masks of a person."""
import pytest
import torch

from skel_ssl.models.ops.indices import mask_to_indices
from skel_ssl.models.ops.masking import random_mask
from skel_ssl.models.ops.queries import (
    count_masks,
    draw_some,
    first_masks,
    gather_shared,
)

from . import hacm_parts
from .test_graph_skeleton_mae import batch as graph_batch
from .test_graph_skeleton_mae import build as build_graph
from .test_masked_skeleton_model import batch, build

CROSS = dict(
    type='CrossAttentionDecoder',
    num_segments=4,
    in_dims=16,
    embed_dims=16,
    depth=1,
    num_heads=2)


def prepared(model, num_masks=1, seed=0):
    """Persons, and ``num_masks`` masks of each."""
    torch.manual_seed(seed)
    persons = model.data_preprocessor(batch())['inputs']
    return persons, random_mask(len(persons) * num_masks, 4, 25, .8).mask


def test_draw_some():
    positions = torch.arange(1000, 1040).repeat(300, 1)
    state = torch.get_rng_state()
    assert draw_some(positions, 1.) is positions
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    drawn = draw_some(positions, .3)
    assert drawn.shape == (300, 12)
    assert all(len(set(row)) == 12 for row in drawn.tolist())
    counts = torch.bincount(drawn.flatten() - 1000, minlength=40)
    # 90 expected of each, standard deviation 7.9
    assert counts.min() > 55 and counts.max() < 125
    assert draw_some(positions, 1e-9).shape == (300, 1)


def test_gather_shared_and_count_masks():
    tokens = torch.arange(2 * 5 * 3.).view(2, 5, 3)
    index = torch.tensor([[0, 4], [1, 1], [2, 0], [3, 3]])
    picked = gather_shared(tokens, index)
    assert torch.equal(picked[1], tokens[0, [1, 1]])
    assert torch.equal(picked[2], tokens[1, [2, 0]])
    assert count_masks(tokens, index) == 2
    with pytest.raises(ValueError, match='3 masks for 2 persons'):
        count_masks(tokens, index[:3])


def test_first_masks():
    mask = random_mask(6, 4, 5, .5).mask
    indices = mask_to_indices(mask)
    first, places, rank = first_masks(torch.zeros(3), mask, indices, None)
    assert torch.equal(first, mask[[0, 2, 4]]) and rank is None
    for one, other in zip(places, mask_to_indices(first)):
        assert torch.equal(one, other)


@pytest.mark.parametrize('neck', [None, CROSS])
def test_the_loss_of_some_queries_is_that_of_their_tokens(neck):
    model = build(query_ratio=.25, **(dict(neck=neck) if neck else {}))
    persons, mask = prepared(model)
    indices = mask_to_indices(mask)
    torch.manual_seed(7)
    loss = model(persons, mode='loss', mask=mask)['loss']
    torch.manual_seed(7)
    queries = draw_some(indices.hidden, .25)
    assert queries.shape[1] == 20
    error = model.head.token_error(
        model.head(model.decode(persons, indices, None)),
        model.target(persons))
    torch.testing.assert_close(loss, error.gather(1, queries).mean())
    loss.backward()
    assert all(p.grad is not None for p in model.neck.parameters())


def test_several_masks_are_the_mean_of_one_mask_each():
    model = build()
    persons, mask = prepared(model, num_masks=3)
    calls = []
    model.target.register_forward_hook(lambda *args: calls.append(1))
    together = model(persons, mode='loss', mask=mask)['loss']
    assert len(calls) == 1  # one pass of the teacher
    alone = [
        model(persons, mode='loss', mask=mask[i::3])['loss'] for i in range(3)
    ]
    torch.testing.assert_close(together, sum(alone) / 3)


def test_predict_and_inspect_look_at_the_first_of_several_masks():
    model = build()
    persons, mask = prepared(model, num_masks=2)
    for one, other in zip(
            model.inspect(persons, mask), model.inspect(persons, mask[::2])):
        if torch.is_tensor(one):
            torch.testing.assert_close(one, other)
    data = model.data_preprocessor(batch())
    samples = model.predict(persons, data['data_samples'], mask,
                            mask_to_indices(mask), None, data['slots'],
                            data['views'])
    assert torch.equal(samples[0].mask[0, 1], mask[2])


def test_several_cross_masks_are_the_mean_of_one_each():
    """No mask of a person is another's negative in the contrast."""
    model = hacm_parts.build(mask_generator=dict(num_masks=2))
    one = hacm_parts.build()
    one.load_state_dict(model.state_dict())
    persons = hacm_parts.walks(3)
    uniform = [torch.rand(6, 3 * hacm_parts.LIMBS) for _ in range(2)]
    together = hacm_parts.losses_of(model, dict(inputs=persons), uniform)
    alone = [
        hacm_parts.losses_of(one, dict(inputs=persons),
                             [u[i::2] for u in uniform]) for i in range(2)
    ]
    for name, loss in together.items():
        torch.testing.assert_close(loss, (alone[0][name] + alone[1][name]) / 2)
    with pytest.raises(ValueError, match='num_masks=0'):
        hacm_parts.build(mask_generator=dict(num_masks=0))


@pytest.mark.parametrize('ratio', [0, -.1, 1.5])
def test_query_ratio_out_of_range(ratio):
    with pytest.raises(ValueError, match='query_ratio'):
        build(query_ratio=ratio)


def test_the_graph_model_takes_queries_and_one_mask():
    model = build_graph(query_ratio=.5)
    data = model.data_preprocessor(graph_batch())
    torch.manual_seed(3)
    loss = model(mode='loss', **data)['loss']
    places = data['indices'].positions
    torch.manual_seed(3)
    chosen = draw_some(places[None], .5)[0]
    target = model.target(data['inputs']).flatten(0, 1)[chosen]
    pred = model.decode(data['inputs'], data['indices']).flatten(0, 1)[chosen]
    torch.testing.assert_close(
        loss,
        model.head.loss(model.head(pred), target)['loss'])
    data['mask'] = data['mask'].repeat_interleave(2, 0)
    with pytest.raises(ValueError, match='num_masks=1'):
        model(mode='loss', **data)


def test_the_graph_model_trains_on_a_share_of_the_frames():
    every = build_graph().data_preprocessor(graph_batch(), True)
    model = build_graph(
        data_preprocessor=dict(
            type='FrameDataPreprocessor', num_coordinates=2, frame_ratio=.25))
    torch.manual_seed(0)
    some = model.data_preprocessor(graph_batch(), True)
    chosen = some['slots']
    assert len(chosen) == round(.25 * len(every['slots']))
    assert len(set(chosen.tolist())) == len(chosen)
    rows = [every['slots'].tolist().index(slot) for slot in chosen.tolist()]
    for key in ('inputs', 'mask'):
        assert torch.equal(some[key], every[key][rows])
    assert model(mode='loss', **some)['loss'].isfinite()
    held = model.data_preprocessor(graph_batch(), False)
    assert torch.equal(held['slots'], every['slots'])
    with pytest.raises(ValueError, match='frame_ratio=0'):
        build_graph(
            data_preprocessor=dict(
                type='FrameDataPreprocessor',
                num_coordinates=2,
                frame_ratio=0))


def test_the_graph_model_refuses_several_masks_of_a_clip():
    data = graph_batch()
    for sample in data['data_samples']:
        sample.mask = sample.mask[:, :, None].repeat(1, 1, 2, 1, 1)
    with pytest.raises(ValueError, match='set num_masks=1'):
        build_graph().data_preprocessor(data)


def test_the_graph_model_refuses_several_masks_of_a_person_batch():
    persons = torch.randn(3, 6, 17, 2)
    mask = torch.zeros(3, 6, 17, dtype=torch.bool)
    mask[..., :4] = True
    model = build_graph()
    one = model.data_preprocessor(dict(inputs=persons, mask=mask))
    assert torch.equal(one['mask'], mask.flatten(0, 1))
    with pytest.raises(ValueError, match='set num_masks=1'):
        model.data_preprocessor(
            dict(inputs=persons, mask=mask.repeat_interleave(2, 0)))
