# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The bodies: consistent in themselves, and as published."""
import dataclasses

import pytest

from skel_ssl.datasets import LAYOUTS, get_layout


@pytest.mark.parametrize('layout', LAYOUTS.values(), ids=LAYOUTS)
def test_presets_are_trees_with_mirror_images(layout):
    children = [child for child, _ in layout.bones]
    assert len(set(children)) == len(children) == layout.num_joints - 1
    root, = set(range(layout.num_joints)) - set(children)
    for joint in range(layout.num_joints):
        steps = 0
        while joint != root:
            joint = layout.parents[joint]
            steps += 1
            assert steps < layout.num_joints
    for left, right in layout.flip_pairs:
        assert layout.joints[left].replace('left', 'right') == (
            layout.joints[right])
    sided = [j for j in layout.joints if j.startswith(('left', 'right'))]
    assert len(sided) == 2 * len(layout.flip_pairs)
    assert len(set(layout.joints)) == layout.num_joints


@pytest.mark.parametrize('name, sizes', [('coco17', [5, 4, 2, 2, 2, 2]),
                                         ('ntu25', [2, 7, 5, 5, 3, 3]),
                                         ('kinect20', [1, 7, 3, 3, 3, 3])])
def test_parts_have_the_published_sizes(name, sizes):
    layout = get_layout(name)
    assert [len(part) for part in layout.parts.values()] == sizes
    for part, joints in layout.parts.items():
        side = part.split()[0]
        if side in ('left', 'right'):
            assert all(layout.joints[j].startswith(side) for j in joints)


def test_a_body_of_ones_own():
    own = dict(
        name='stick',
        joints=('top', 'bottom'),
        bones=((0, 1), ),
        parts={'all': (0, 1)},
        centre=1)
    assert get_layout(own).parents == (1, 1)
    assert get_layout(get_layout(own)) == get_layout(own)


@pytest.mark.parametrize('change, message', [
    (dict(centre=25), 'joint 25 does not exist: indices run from 0 to 24'),
    (dict(flip_pairs=((4, -1), )), 'joint -1 does not exist'),
    (dict(parts={'a': tuple(range(24))}), r'joint\(s\) \[24\]'),
    (dict(parts={'a': tuple(range(25)), 'b': (3, )}), r'joint\(s\) \[3\]'),
])
def test_wrong_bodies(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(get_layout('ntu25'), **change)


def test_unknown_name():
    with pytest.raises(ValueError, match="'ntu26'; presets are .*coco17"):
        get_layout('ntu26')
