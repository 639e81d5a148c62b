# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Copied frames are found again, others are not."""
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skel_ssl.datasets.doctor.measure import count_empty_frames
from skel_ssl.datasets.doctor.prints import PrintIndex, frame_prints


def poses(number, seed=0):
    return np.random.default_rng(seed).normal(
        0, .5, (number, 20, 3)).astype(np.float32)


def test_prints_do_not_depend_on_the_place():
    """The few frames on a grid line are lost, as the docs say."""
    given_poses = poses(200)
    moved = given_poses + np.float32([3.17, -.8, 2.4])
    same = frame_prints(moved, 1.5) == frame_prints(given_poses, 1.5)
    assert same.mean() > .9
    assert (frame_prints(given_poses, 1.5)
            == frame_prints(given_poses.copy(), 1.5)).all()


def test_prints_of_other_poses_differ():
    here, there = poses(500), poses(500, seed=1)
    there[0] = here[0]
    there[0, 7, 1] += .002  # two millimetres
    prints = np.concatenate([frame_prints(here, 1.5),
                             frame_prints(there, 1.5)])
    assert len(np.unique(prints)) == 1000


def test_index():
    a, b, c, d = ([1, 2, 3], [4, 2], [], [1, 2, 3])
    index = PrintIndex([np.array(x, np.uint64) for x in (a, b, c, d)])
    np.testing.assert_array_equal(index.groups, [0, 1, -1, 0])
    among = np.array([True, False, False, False])
    np.testing.assert_array_equal(index.count_shared(among), [3, 1, 0, 3])
    assert index.best_matches([1, 3], among) == [0, 0]
    assert index.best_matches([0], np.array([False, True, True, True])) == [3]


def test_an_index_of_nothing():
    index = PrintIndex([])
    assert index.count_shared(np.zeros(0, bool)).shape == (0, )


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_empty_frames(seen):
    gap, ends = count_empty_frames(np.array(seen))
    text = ''.join('x' if there else '.' for there in seen)
    inner = text.strip('.')
    assert (gap, ends) == (inner.count('.'), len(text) - len(inner))
