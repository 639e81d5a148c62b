# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pure functions: indices, masks, persons, pooling, targets, schedules."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.models.ops.distributed import global_mean
from skel_ssl.models.ops.ema import EMATeacher, annealed_decay
from skel_ssl.models.ops.indices import (
    gather_tokens,
    mask_to_indices,
    place_tokens,
)
from skel_ssl.models.ops.masking import (
    frame_motion,
    lowest,
    motion_aware_mask,
    motion_intensity,
    num_kept,
    patch_motion,
    random_mask,
    ranks,
    tube_mask,
)
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.models.ops.pooling import pool_tokens
from skel_ssl.models.ops.token_embed import PositionEmbedding, patchify
from skel_ssl.models.ops.transformer import TransformerBlock
from skel_ssl.models.targets.teacher_target import normalise_layers

sizes = st.tuples(
    st.integers(1, 5), st.integers(1, 6), st.integers(2, 9),
    st.integers(0, 2**31))


def some_mask(num_persons, num_segments, num_joints, seed):
    torch.manual_seed(seed)
    total = num_segments * num_joints
    hidden = int(torch.randint(1, total, ()))
    rank = ranks(torch.rand(num_persons, total))
    return (rank < hidden).view(num_persons, num_segments, num_joints), hidden


@settings(max_examples=50, deadline=None)
@given(sizes)
def test_indices_are_disjoint_complete_and_restore(size):
    mask, hidden = some_mask(*size)
    indices = mask_to_indices(mask)
    flat = mask.flatten(1)
    assert indices.hidden.shape == (len(mask), hidden)
    assert flat.gather(1, indices.hidden).all()
    assert not flat.gather(1, indices.kept).any()
    both = torch.cat([indices.kept, indices.hidden], 1)
    assert (both.sort(1).values == torch.arange(flat.shape[1])).all()
    assert (indices.kept.diff(dim=1) > 0).all()
    assert (indices.hidden.diff(dim=1) > 0).all()
    tokens = torch.rand(len(mask), flat.shape[1], 3)
    shuffled = torch.cat([
        gather_tokens(tokens, indices.kept),
        gather_tokens(tokens, indices.hidden)
    ], 1)
    assert torch.equal(gather_tokens(shuffled, indices.restore), tokens)


@settings(max_examples=50, deadline=None)
@given(sizes)
def test_indices_of_a_known_number_are_the_same(size):
    mask, hidden = some_mask(*size)
    found, expected = mask_to_indices(mask, hidden), mask_to_indices(mask)
    assert type(found) is type(expected)
    assert all(map(torch.equal, found, expected))


def test_indices_of_a_known_number_need_no_look_at_the_mask():
    """On torch's 'meta' device there is nothing to look at."""
    mask = torch.empty(3, 4, 5, dtype=torch.bool, device='meta')
    indices = mask_to_indices(mask, 8)
    assert indices.kept.shape == (3, 12) and indices.hidden.shape == (3, 8)
    with pytest.raises((NotImplementedError, RuntimeError)):
        mask_to_indices(mask)


@pytest.mark.parametrize('num_hidden', [-1, 21])
def test_a_number_that_cannot_be_hidden(num_hidden):
    with pytest.raises(ValueError, match=f'={num_hidden} of 20 tokens'):
        mask_to_indices(torch.zeros(3, 4, 5, dtype=torch.bool), num_hidden)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 5), st.integers(2, 40), st.integers(1, 6),
    st.integers(0, 2**31))
def test_the_lowest_are_those_of_the_lowest_ranks(rows, size, levels, seed):
    """Ties, of which there are many here, go by position."""
    torch.manual_seed(seed)
    score = torch.randint(levels, (rows, size)).float()
    for count in range(1, size):
        assert torch.equal(lowest(score, count), ranks(score) < count)


def test_indices_of_no_person():
    indices = mask_to_indices(torch.zeros(0, 4, 5, dtype=torch.bool))
    assert indices.kept.shape == indices.hidden.shape == (0, 0)


def test_uneven_masks_are_refused():
    mask = torch.tensor([[True, False, False], [True, True, False]])
    with pytest.raises(ValueError, match='from 1 to 2 of 3'):
        mask_to_indices(mask)
    with pytest.raises(ValueError, match='boolean'):
        mask_to_indices(mask.float())


def test_place_tokens_by_hand():
    tokens = torch.tensor([[[1.], [2.]]])
    grid = place_tokens(tokens, torch.tensor([[2, 0]]),
                        torch.full((1, 4, 1), 9.))
    assert grid.flatten().tolist() == [2., 9., 1., 9.]


@pytest.mark.parametrize('ratio, fate', [(1., 'everything'), (.99, 'every'),
                                         (0., 'nothing'), (-.5, 'nothing')])
def test_a_ratio_that_hides_all_or_nothing_is_refused(ratio, fate):
    with pytest.raises(ValueError, match=f'mask_ratio={ratio} hides {fate}'):
        num_kept(25, ratio)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4), st.sampled_from([1, 2, 3, 6]), st.integers(5, 25),
    st.sampled_from([.5, .8, .9]), st.integers(0, 2**31))
def test_tube_masks_hide_the_same_joints_along_a_tube(persons, tube_len,
                                                      joints, ratio, seed):
    torch.manual_seed(seed)
    if int(joints * (1 - ratio)) == 0:
        return
    mask, rank = tube_mask(
        torch.rand(persons, 6, joints), ratio, tube_len, beta=.3)
    assert ((~mask).sum(2) == num_kept(joints, ratio)).all()
    tubes = mask.unflatten(1, (-1, tube_len))
    assert (tubes == tubes[:, :, :1]).all()
    assert (rank.sort(2).values == torch.arange(joints)).all()


def test_moving_joints_are_hidden_more_often_and_a_still_person_evenly():
    num = 4000
    still = torch.zeros(num, 5, 25)
    moving = still.clone()
    moving[:, :, 3] = 1.
    share = 1 - (~tube_mask(moving, .9, beta=.2).mask)[:, 0].float().mean(0)
    assert share[3] > .99  # its score is above U's 2 lowest of 25
    even = (~tube_mask(still, .9, beta=.2).mask)[:, 0].float().mean(0)
    expected = 2 / 25
    spread = math.sqrt(expected * (1 - expected) / num)
    assert (even - expected).abs().max() < 5 * spread


def test_masks_do_not_depend_on_the_batch():
    torch.manual_seed(1)
    intensity, uniform = torch.rand(6, 10, 25), torch.rand(6, 2, 25)
    every = tube_mask(intensity, uniform=uniform).mask
    order = torch.randperm(6)
    again = tube_mask(intensity[order], uniform=uniform[order]).mask
    assert torch.equal(again, every[order])


def test_random_mask_keeps_the_lowest_uniforms():
    uniform = torch.rand(3, 20)
    mask, rank = random_mask(3, 4, 5, .75, uniform)
    kept = uniform.argsort(1)[:, :5]
    assert not mask.flatten(1).gather(1, kept).any()
    assert mask.sum() == 3 * 15
    assert torch.equal(rank.flatten(1), ranks(uniform))


def test_motion_by_hand():
    x = torch.tensor([0., 1., 3., 6.]).view(1, 4, 1, 1)
    assert frame_motion(x).flatten().tolist() == [1, 2, 3, 0]
    assert frame_motion(x, 2).flatten().tolist() == [3, 5, 0, 0]
    assert motion_intensity(x, 2).flatten().tolist() == [1.5, 1.5]
    with pytest.raises(ValueError, match='4 frames .* patches of 3'):
        motion_intensity(x, 3)
    with pytest.raises(ValueError, match='3 segments .* tubes of 2'):
        tube_mask(torch.rand(1, 3, 25), tube_len=2)


def test_patches_are_coordinate_major():
    x = torch.arange(2 * 6 * 3 * 2.).view(2, 6, 3, 2)
    patches = patchify(x, 3)
    assert patches.shape == (2, 6, 6)
    # Person 1, segment 1, joint 2 is token 5: three x, then three y.
    by_hand = [x[1, 3 + t, 2, c] for c in range(2) for t in range(3)]
    assert patches[1, 5].tolist() == by_hand


def test_presence():
    clips = torch.rand(3, 2, 4, 5, 3)
    clips[0, 1] = 0
    clips[1, 1] = clips[1, 0]  # a copy is no person
    clips[2] = 0
    expected = [[True, False], [True, False], [False, False]]
    assert present_persons(clips).tolist() == expected
    assert present_persons(clips[:, None]).tolist() == [[e] for e in expected]
    for bad in (float('nan'), float('inf')):
        clips[1, 0, 2, 3, 1] = bad
        with pytest.raises(ValueError, match=r'slot \[1, 0\]'):
            present_persons(clips)


@pytest.mark.parametrize('readout, width', [('mean', 4), ('joint', 12),
                                            ('joint_std', 24)])
def test_pooling_leaves_absent_persons_out(readout, width):
    feats = torch.rand(2, 2, 4, 5, 3) + .1
    alone = feats.clone()
    alone[:, 1] = 0
    pooled = pool_tokens(alone, readout)
    assert pooled.shape == (2, width)
    torch.testing.assert_close(pooled, pool_tokens(feats[:, :1], readout))
    both = pool_tokens(feats, readout)
    torch.testing.assert_close(
        both, (pooled + pool_tokens(feats[:, 1:], readout)) / 2)
    assert pool_tokens(torch.zeros(1, 2, 4, 5, 3), readout).eq(0).all()


def test_pooling_by_hand():
    feats = torch.tensor([1., 2., 3., 6.]).view(1, 1, 1, 2, 2)  # S, V
    assert pool_tokens(feats).item() == 3
    assert pool_tokens(feats, 'joint').tolist() == [[2., 4.]]
    assert pool_tokens(feats, 'joint_std').tolist() == [[2., 4., 1., 2.]]
    with pytest.raises(ValueError, match="'max'"):
        pool_tokens(feats, 'max')


def test_targets_are_normalised_in_float32():
    layers = [torch.randn(3, 40, 16) * 5 + 2 for _ in range(2)]
    layers = [x.bfloat16() for x in layers]
    target = normalise_layers(layers, final_norm=False)
    assert target.dtype == torch.float32
    torch.testing.assert_close(
        target.mean(1), torch.zeros(3, 16), atol=1e-5, rtol=0)
    final = normalise_layers(layers)
    torch.testing.assert_close(
        final.var(2, correction=0), torch.ones(3, 40), atol=1e-3, rtol=0)


def test_decay_is_annealed():
    assert annealed_decay(0, .9999, 1., 100) == .9999
    assert annealed_decay(50, .9, 1., 100) == pytest.approx(.95)
    assert annealed_decay(100, .9, 1., 100) == 1.
    assert annealed_decay(10**6, .9, 1., 100) == 1.


def test_first_teacher_update_averages_and_the_counter_is_saved():
    student = torch.nn.Linear(3, 2)
    teacher = EMATeacher(student)
    before = student.weight.detach().clone()
    with torch.no_grad():
        student.weight += 1
    teacher.update_parameters(student, decay=.75)
    torch.testing.assert_close(teacher.module.weight, before + .25)
    fresh = EMATeacher(student)
    fresh.load_state_dict(teacher.state_dict())
    assert fresh.num_updates == 1
    teacher.update_parameters(student, decay=1.)
    torch.testing.assert_close(teacher.module.weight, before + .25)
    assert not teacher.train().training
    assert not any(p.requires_grad for p in teacher.parameters())


def test_global_mean_of_one_process():
    values = torch.tensor([1., 2., 6.], requires_grad=True)
    mean = global_mean(values)
    assert mean.item() == 3
    mean.backward()
    torch.testing.assert_close(values.grad, torch.full((3, ), 1 / 3))
    empty = torch.zeros(0, 4, requires_grad=True)
    nothing = global_mean(empty * 2)
    assert nothing.item() == 0
    nothing.backward()  # connected to the graph
    assert empty.grad.shape == (0, 4)


def test_fused_and_plain_attention_agree():
    fused = TransformerBlock(32, 4, layer_scale=.5)
    plain = TransformerBlock(32, 4, layer_scale=.5, attention='plain')
    plain.load_state_dict(fused.state_dict())
    outs, grads = [], []
    x = torch.randn(2, 50, 32)
    for block in (fused, plain):
        y = x.clone().requires_grad_()
        out = block(y)
        out.square().sum().backward()
        outs.append(out)
        grads.append(y.grad)
    torch.testing.assert_close(*outs, atol=1e-5, rtol=0)
    torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-5)


def test_positions_are_resized_in_time_on_loading():
    small, large = PositionEmbedding(4, 3, 8), PositionEmbedding(8, 3, 8)
    small.init_weights()
    with torch.no_grad():
        small.temporal.copy_(torch.arange(4.).view(1, 4, 1, 1))
    large.load_state_dict(small.state_dict())
    ramp = large.temporal[0, :, 0, 0]
    assert torch.equal(large.spatial, small.spatial)
    assert (ramp.diff() > 0).all()
    torch.testing.assert_close(ramp.mean(), torch.tensor(1.5))
    torch.testing.assert_close(ramp[3:5], torch.tensor([1.25, 1.75]), atol=.1,
                               rtol=0)


def test_motion_between_patches_by_hand():
    persons = torch.zeros(1, 6, 2, 3)
    persons[0, 2:4, 1] = 3.  # the second of three patches
    persons[0, 5, 1, 0] = 6.  # one frame, one coordinate of the third
    # |second - first| = 3 in all; |third - second| = 3, but for one, also 3.
    expected = torch.tensor([[[0., 3.], [0., 3.], [0., 3.]]])
    assert torch.equal(patch_motion(persons, 2), expected)
    persons[0, 5, 1, 0] = 9.  # now it differs by 6 in 1 of 6 numbers
    assert patch_motion(persons, 2)[0, 2, 1] == pytest.approx(3.5)
    with pytest.raises(ValueError, match='motion between patches needs two'):
        patch_motion(persons, 6)


def test_moving_tokens_are_hidden_more_often():
    """MAMP: a token's motion and its chance to be hidden go together."""
    generator = torch.Generator().manual_seed(0)
    intensity = torch.rand(1, 6, 10, generator=generator)
    draws = 4000
    uniform = torch.rand(draws, 60, generator=generator)
    made = motion_aware_mask(
        intensity.expand(draws, -1, -1), .5, .3, uniform).mask
    assert (made.flatten(1).sum(1) == 30).all()
    often = made.double().mean(0).flatten()
    both = torch.stack([intensity.double().flatten(), often])
    assert torch.corrcoef(both)[0, 1] > .9
    # With tau = 0, and for a person who does not move, it is even: within
    # five standard errors of one half.
    still = torch.zeros(draws, 6, 10)
    for flat in (motion_aware_mask(still, .5, .3, uniform),
                 motion_aware_mask(
                     intensity.expand(draws, -1, -1), .5, 0., uniform)):
        often = flat.mask.double().mean(0)
        assert (often - .5).abs().max() < 5 * .5 / draws**.5
