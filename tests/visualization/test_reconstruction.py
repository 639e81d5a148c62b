# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The true target gives the true coordinates back."""
import numpy as np
import pytest
import torch
from torch import nn

from skel_ssl.models.ops.hyperbolic import ball_map
from skel_ssl.models.targets import (
    BallMotionTarget,
    CoordinateTarget,
    JointTarget,
    MotionTarget,
    TeacherTarget,
)
from skel_ssl.visualization.reconstruction import (
    can_reconstruct,
    explain,
    from_patches,
    integrate_motion,
    inverse_ball_map,
    reconstruct,
)

P, S, PATCH, V = 2, 4, 3, 6
T = S * PATCH


def walk():
    return 0.1 * torch.randn(P, T, V, 3).cumsum(1) + torch.randn(P, 1, V, 3)


def some_mask(tokens=V):
    mask = torch.rand(P, S, tokens) < 0.7
    mask[:, :, 0] = True  # never visible
    mask[:, :, 1] = False
    mask[:, :, 2] = torch.tensor([True, True, False, True])
    return mask


def ball_target(**kwargs):
    target = BallMotionTarget(PATCH, **kwargs)
    backbone = nn.Module()
    backbone.token_joints = torch.tensor([5, 0, 2, 3])
    target.bind(backbone)
    return target


NORMS = ('patch', 'time', None)
TARGETS = {
    **{f'coordinates {n}': CoordinateTarget(PATCH, n) for n in NORMS},
    **{f'motion {n}': MotionTarget(PATCH, 1, n) for n in NORMS},
    'stride 2': MotionTarget(PATCH, 2),
    'stride 4, longer than a patch': MotionTarget(PATCH, 4),
    'ball': ball_target(),
    'ball, stride 2': ball_target(stride=2),
    'no ball': ball_target(target_map='none'),
}


@pytest.mark.parametrize('target', TARGETS.values(), ids=TARGETS)
def test_the_true_target_gives_the_truth(target):
    persons = walk()
    tokens = V if getattr(target, 'joints', None) is None else 4
    prediction = target(persons).unflatten(1, (S, tokens))
    found = reconstruct(target, persons, prediction, some_mask(tokens))
    torch.testing.assert_close(found, persons, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize('target', TARGETS.values(), ids=TARGETS)
def test_visible_joints_do_not_depend_on_the_prediction(target):
    persons = walk()
    tokens = V if getattr(target, 'joints', None) is None else 4
    mask = some_mask(tokens)
    wrong = torch.randn(P, S, tokens, PATCH * 3)
    found = reconstruct(target, persons, wrong, mask)
    hidden = torch.zeros(P, T, V, dtype=torch.bool)
    joints = range(V) if tokens == V else target.joints
    hidden[:, :, joints] = mask.repeat_interleave(PATCH, 1)
    torch.testing.assert_close(found[~hidden], persons[~hidden])
    assert not torch.allclose(found[hidden], persons[hidden], atol=1e-3)


def test_a_patch_in_numbers():
    # x runs 0, 2, 4 and y, z stay 1: mean 4/3, unbiased variance 7/4.
    persons = torch.tensor([[[[0., 1, 1]], [[2, 1, 1]], [[4, 1, 1]]]])
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    found = reconstruct(CoordinateTarget(3), persons,
                        torch.arange(9.).view(1, 1, 1, 9), mask)
    values = persons.flatten().numpy()
    expected = values.mean() + np.arange(9) * np.sqrt(
        values.var(ddof=1) + 1e-6)
    np.testing.assert_allclose(found.flatten(), expected, rtol=1e-5)


def test_motion_is_added_up_from_the_last_visible_frame():
    hidden = torch.tensor([0, 0, 1, 1, 0, 1]).bool().view(1, 6, 1)
    truth = torch.tensor([10., 20, 99, 99, 50, 99]).view(1, 6, 1, 1)
    motion = torch.tensor([0., 1, 2, 3, 4, 0]).view(1, 6, 1, 1)
    found = integrate_motion(motion, truth, hidden, 1)
    assert found.flatten().tolist() == [10, 20, 21, 23, 50, 54]
    # Before the first visible frame: backwards from it.
    hidden = torch.tensor([1, 1, 0, 1, 1, 1]).bool().view(1, 6, 1)
    truth = torch.tensor([99., 99, 30, 99, 99, 99]).view(1, 6, 1, 1)
    found = integrate_motion(motion, truth, hidden, 1)
    assert found.flatten().tolist() == [29, 29, 30, 32, 35, 39]
    # Never visible: from where it truly is in the first frame.
    found = integrate_motion(motion, truth, torch.ones_like(hidden), 1)
    assert found.flatten().tolist() == [99, 99, 100, 102, 105, 109]


def test_each_phase_of_a_stride_is_a_chain_of_its_own():
    hidden = torch.tensor([1, 0, 1, 1, 1, 1]).bool().view(1, 6, 1)
    truth = torch.tensor([7., 100, 99, 99, 99, 99]).view(1, 6, 1, 1)
    motion = torch.tensor([1., 10, 2, 20, 0, 0]).view(1, 6, 1, 1)
    found = integrate_motion(motion, truth, hidden, 2)
    assert found.flatten().tolist() == [7, 100, 8, 110, 10, 130]


def test_ball_map_and_back():
    vectors = torch.randn(50, 3)
    torch.testing.assert_close(
        inverse_ball_map(ball_map(vectors)), vectors, atol=1e-3, rtol=1e-3)
    assert inverse_ball_map(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]
    # A model may predict points beyond the ball.
    far = inverse_ball_map(torch.tensor([[0., 3., 4.]]))
    assert far.isfinite().all() and far[0, 2] > 4
    assert far[0, 1] / far[0, 2] == pytest.approx(3 / 4)


def test_patches_are_put_together_again():
    frames = torch.randn(P, T, V, 3)
    target = CoordinateTarget(PATCH, None)
    tokens = target(frames).unflatten(1, (S, V))
    assert torch.equal(from_patches(tokens, PATCH), frames)


def test_single_frames():
    target = JointTarget('coord')
    graphs, wrong = torch.randn(P, T, V, 2), torch.randn(P, T, V, 2)
    mask = torch.rand(P, T, V) < 0.5
    found = reconstruct(target, graphs, wrong, mask)
    assert torch.equal(found[mask], wrong[mask])
    assert torch.equal(found[~mask], graphs[~mask])


@pytest.mark.parametrize('target', [TeacherTarget(), JointTarget('embed')])
def test_features_are_no_coordinates(target):
    assert not can_reconstruct(target)
    with pytest.raises(ValueError, match='are features, not coordinates'):
        reconstruct(target, walk(), torch.zeros(1), torch.zeros(1))


def test_every_picture_says_what_it_is():
    assert explain(MotionTarget()) == (
        'motion, added up from the last visible frame; mean and spread of '
        'each token are the true ones')
    assert explain(CoordinateTarget(normalise=None)) == (
        'coordinates; in metres')
    assert explain(JointTarget('coord')) == 'coordinates as predicted'
