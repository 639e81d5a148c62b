# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The mask transform of body parts."""
import numpy as np
import pytest
import torch

from skel_ssl.datasets import BodyPartMask, get_layout
from skel_ssl.models.ops.masking import random_joint_mask, random_part_mask
from skel_ssl.registry import TRANSFORMS

RIGHT_LIMBS = [8, 10, 14, 16]  # right elbow, wrist, knee, ankle


def results(joints=17, channels=3, frames=6):
    """Two views of two persons."""
    return dict(keypoint=np.ones((2, 2, frames, joints, channels), 'f4'))


def joints_of(mask):
    """The joints that are hidden, if they are the same everywhere."""
    assert (mask == mask[:1, :1, :1]).all()
    return mask[0, 0, 0].nonzero()[:, 0].tolist()


@pytest.mark.parametrize('channels', [2, 3])
def test_the_default_hides_right_arm_and_right_leg(channels):
    before = np.random.get_state()[1].copy()
    mask = BodyPartMask()(results(channels=channels))['mask']
    assert mask.shape == (2, 2, 6, 17) and mask.dtype == torch.bool
    assert joints_of(mask) == RIGHT_LIMBS
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize('layout, parts, joints', [
    ('coco17', ('right leg', 'right arm'), RIGHT_LIMBS),
    ('coco', ['right arm', 5], RIGHT_LIMBS),
    ('coco17', (0, 3, 5), [0, 1, 2, 3, 4, *RIGHT_LIMBS]),
    ('ntu25', None, [9, 10, 11, 17, 18, 19, 23, 24]),
    ('kinect20', (0, ), [3]),
])
def test_fixed_parts(layout, parts, joints):
    transform = BodyPartMask(layout, parts)
    made = transform(results(get_layout(layout).num_joints))
    assert joints_of(made['mask']) == joints


def test_a_body_of_ones_own():
    own = dict(
        name='stick', joints=['a', 'b', 'c'], bones=[], centre=0,
        parts=dict(ends=[0, 2], middle=[1]))
    assert joints_of(BodyPartMask(own, ['middle'])(results(3))['mask']) == [1]
    with pytest.raises(ValueError, match=r"no part 3; .* \['ends', 'middle'"):
        BodyPartMask(own)


@pytest.mark.parametrize('scope, choices', [('clip', 1), ('frame', 3)])
def test_random_parts_of_the_pure_function(scope, choices):
    transform = BodyPartMask(
        mask_parts='random',
        num_mask_parts=(1, 3),
        mask_scope=scope,
        patch_len=2)
    np.random.seed(3)
    mask = transform(results())['mask']
    np.random.seed(3)
    uniform = transform.uniform(4, choices, 7)
    expected = random_part_mask(
        4, 3, 17, list(get_layout('coco17').parts.values()), (1, 3), scope,
        uniform)
    assert torch.equal(mask, expected.view(2, 2, 3, 17))


@pytest.mark.parametrize('scope, choices', [('clip', 1), ('frame', 6)])
def test_random_joints_of_the_pure_function(scope, choices):
    transform = BodyPartMask(
        mask_mode='joint', num_mask_joints=4, mask_scope=scope)
    np.random.seed(3)
    mask = transform(results())['mask']
    np.random.seed(3)
    uniform = transform.uniform(4, choices, 18)
    expected = random_joint_mask(4, 6, 17, 4, scope, uniform)
    assert torch.equal(mask, expected.view(2, 2, 6, 17))


RANDOM = dict(mask_parts='random', num_mask_parts=2)
JOINTS = dict(mask_mode='joint', num_mask_joints=4)


@pytest.mark.parametrize('kwargs, said', [
    # read and ignored
    (dict(num_mask_parts=2), 'num_mask_parts=2 would have no effect'),
    (dict(num_mask_joints=2), 'num_mask_joints=2 would have no effect'),
    (dict(mask_scope='frame'), "mask_scope='frame' would have no effect"),
    (dict(RANDOM, num_mask_joints=4), 'num_mask_joints=4 would'),
    (dict(JOINTS, mask_parts=(3, 5)), r'mask_parts=\(3, 5\) would'),
    (dict(JOINTS, mask_parts='random'), "mask_parts='random' would"),
    (dict(JOINTS, num_mask_parts=2), 'num_mask_parts=2 would'),
    # missing
    (dict(mask_parts='random'), 'needs num_mask_parts'),
    (dict(mask_mode='joint'), 'needs num_mask_joints'),
    # nothing, everything
    (dict(mask_parts=()), '0 of 17 joints'),
    (dict(mask_parts=range(6)), '17 of 17 joints'),
    (dict(RANDOM, num_mask_parts=6), '6 of 6 parts'),
    (dict(RANDOM, num_mask_parts=(0, 2)), r'\(0, 2\) of 6 parts'),
    (dict(JOINTS, num_mask_joints=17), '17 of 17 joints'),
    # unknown
    (dict(mask_mode='frame'), "'part' or 'joint', not 'frame'"),
    (dict(mask_scope='tube'), "'clip' or 'frame', not 'tube'"),
    (dict(mask_parts=(3, 6)), 'there is no part 6; .* or 0 to 5'),
    (dict(mask_parts=(-1, )), 'there is no part -1'),
    (dict(mask_parts=('tail', )), "no part 'tail'; .* 'right leg'"),
    (dict(mask_parts=(3, 'right arm')), 'a part is named twice'),
    (dict(mask_parts='head'), "'head' must be a list of parts or 'random'"),
    (dict(mask_parts=3), '3 must be a list of parts'),
    (dict(layout='nobody'), "no layout 'nobody'"),
])
def test_arguments_that_make_no_sense(kwargs, said):
    with pytest.raises(ValueError, match=said):
        BodyPartMask(**kwargs)


def test_another_body_is_refused():
    with pytest.raises(ValueError, match="25 joints, layout 'coco17' has 17"):
        BodyPartMask()(results(25))


def test_frames_that_make_no_patches():
    with pytest.raises(ValueError, match='6 frames .* patches of 4'):
        BodyPartMask(patch_len=4)(results())


@pytest.mark.parametrize('kwargs', [{}, RANDOM, JOINTS])
def test_registered_and_shown(kwargs):
    transform = TRANSFORMS.build(dict(type='BodyPartMask', **kwargs))
    shown = repr(transform)
    assert repr(eval(shown)) == shown
