# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Masks of body parts."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets import get_layout
from skel_ssl.models.ops.masking import (
    hidden_range,
    joint_mask,
    random_joint_mask,
    random_part_mask,
)

PARTS = tuple(get_layout('coco17').parts.values())


def hidden_parts(mask):
    """(P, S, K) bool: which parts are hidden; none is so by half."""
    flags = torch.stack([mask[..., list(part)].all(-1) for part in PARTS], -1)
    some = torch.stack([mask[..., list(part)].any(-1) for part in PARTS], -1)
    assert torch.equal(flags, some)
    return flags


def test_the_same_joints_of_everyone():
    mask = joint_mask(2, 3, 5, [4, 1])
    assert mask.dtype == torch.bool and mask.shape == (2, 3, 5)
    assert torch.equal(
        mask, torch.tensor([0, 1, 0, 0, 1], dtype=torch.bool).expand(2, 3, 5))


@pytest.mark.parametrize('joints, said', [
    ([], '0 of 5 joints cannot be hidden'),
    ([0, 1, 2, 3, 4], '5 of 5 joints cannot be hidden'),
    ([1, 5], 'joint 5 does not exist: indices run from 0 to 4'),
    ([-1], 'joint -1 does not exist'),
])
def test_joints_that_cannot_be_hidden(joints, said):
    with pytest.raises(ValueError, match=said):
        joint_mask(2, 3, 5, joints)


def test_the_numbers_decide_by_hand():
    """Parts 1 and 2 have the lowest numbers; then just part 2."""
    parts = [[0, 1], [2], [3, 4]]
    uniform = torch.tensor([[[.9, .5, .1, .6]], [[.9, .5, .1, .4]]])
    mask = random_part_mask(2, 4, 5, parts, (1, 2), uniform=uniform)
    two, one = [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]
    expected = torch.tensor([two, one], dtype=torch.bool)
    assert torch.equal(mask, expected[:, None].expand(2, 4, 5))


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 5),
    st.integers(0, 4), st.sampled_from(['clip', 'frame']))
def test_whole_parts_as_many_as_said(persons, segments, low, more, scope):
    high = min(low + more, 5)
    mask = random_part_mask(persons, segments, 17, PARTS, (low, high), scope)
    assert mask.shape == (persons, segments, 17) and mask.is_contiguous()
    count = hidden_parts(mask).sum(-1)
    assert low <= count.min() and count.max() <= high
    if scope == 'clip':
        assert (mask == mask[:, :1]).all()


def test_frames_and_persons_choose_for_themselves():
    mask = random_part_mask(40, 10, 17, PARTS, 2, 'frame')
    assert (hidden_parts(mask).sum(-1) == 2).all()
    # One of 15 pairs: 400 choices find them all.
    assert len(torch.unique(mask.flatten(0, 1), dim=0)) == 15
    clips = random_part_mask(400, 10, 17, PARTS, 2)
    assert len(torch.unique(clips[:, 0], dim=0)) == 15


def test_parts_and_numbers_are_equally_likely():
    draws = 30_000
    parts = hidden_parts(random_part_mask(draws, 1, 17, PARTS, (1, 3)))[:, 0]
    share = torch.bincount(parts.sum(-1), minlength=4) / draws
    spread = (1 / 3 * 2 / 3 / draws)**.5
    assert share[0] == 0 and (share[1:] - 1 / 3).abs().max() < 5 * spread
    assert (parts.float().mean(0) - 2 / 6).abs().max() < 5 * spread


def test_the_highest_number_hides_no_more_than_said():
    below_one = 1 - torch.finfo(torch.float32).eps / 2
    uniform = torch.full((1, 1, 7), below_one)
    for high in range(1, 6):
        mask = random_part_mask(1, 1, 17, PARTS, (1, high), uniform=uniform)
        assert hidden_parts(mask).sum() == high


def test_masks_do_not_depend_on_the_batch():
    uniform = torch.rand(5, 8, 7)
    every = random_part_mask(5, 8, 17, PARTS, (1, 4), 'frame', uniform)
    order = [3, 0, 4]
    again = random_part_mask(3, 8, 17, PARTS, (1, 4), 'frame', uniform[order])
    assert torch.equal(again, every[order])


@pytest.mark.parametrize('scope, choices', [('clip', 1), ('frame', 6)])
def test_joints_with_the_lowest_numbers_are_hidden(scope, choices):
    uniform = torch.rand(3, choices, 18)
    mask = random_joint_mask(3, 6, 17, 5, scope, uniform)
    places = uniform[..., :17].argsort(-1)[..., :5].expand(3, 6, 5)
    expected = torch.zeros(3, 6, 17, dtype=torch.bool)
    assert torch.equal(mask, expected.scatter(-1, places, True))


@pytest.mark.parametrize('count, said', [
    (0, '0 of 6 parts cannot be hidden: .* from 1 to 5'),
    (6, '6 of 6 parts'),
    ((2, 6), r'\(2, 6\) of 6 parts'),
    ((3, 2), r'\(3, 2\) of 6 parts'),
    ((0, 2), r'\(0, 2\) of 6 parts'),
    ((1, 2, 3), r'\(1, 2, 3\) of 6 parts'),
    (2., '2.0 of 6 parts'),
    (None, 'None of 6 parts'),
])
def test_numbers_of_parts_that_make_no_sense(count, said):
    with pytest.raises(ValueError, match=said):
        random_part_mask(1, 1, 17, PARTS, count)


def test_all_joints_cannot_be_hidden():
    with pytest.raises(ValueError, match='17 of 17 joints'):
        random_joint_mask(1, 1, 17, 17)


def test_range_of_one_number():
    assert hidden_range(2, 6, 'parts') == hidden_range([2, 2], 6, 'parts')


def test_unknown_scope():
    with pytest.raises(ValueError, match="'clip' or 'frame', not 'tube'"):
        random_part_mask(1, 1, 17, PARTS, 2, 'tube')


def test_numbers_of_another_scope():
    with pytest.raises(RuntimeError, match='shape'):
        random_part_mask(2, 3, 17, PARTS, 2, 'frame', torch.rand(2, 1, 7))
