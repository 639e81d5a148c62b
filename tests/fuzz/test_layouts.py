# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.datasets.layouts import NTU25, SkeletonLayout, get_layout
from skel_ssl.datasets.transforms.geometry import mirror_order

from .common import JSON, JUNK, cuts, damaged, examples, nested, outcome, write

INDEX = st.integers(-1, 4)
PAIRS = st.lists(st.lists(INDEX, min_size=2, max_size=2), max_size=4)
SETTINGS = st.fixed_dictionaries(dict(
    name=st.text(max_size=3),
    joints=st.lists(st.text(max_size=2), min_size=1, max_size=4),
    bones=PAIRS,
    parts=st.dictionaries(st.text(max_size=2), st.lists(INDEX, max_size=4),
                          max_size=3),
    centre=INDEX), optional=dict(
        flip_pairs=PAIRS, spine=st.none() | st.tuples(INDEX, INDEX),
        shoulders=st.none() | st.tuples(INDEX, INDEX), edges=PAIRS))
THREE = dict(name='three', joints=['a', 'b', 'c'], bones=[[1, 0], [2, 0]],
             parts=dict(all=[0, 1, 2]), centre=0, flip_pairs=[[1, 2]])


def check(layout):
    """What a layout promises to those who work with it."""
    body = outcome(lambda: get_layout(layout))
    if body is None:
        return None
    joints = range(body.num_joints)
    assert sorted(j for part in body.parts.values() for j in part) == (
        list(joints))
    assert body.centre in joints and set(body.parents) <= set(joints)
    assert all(set(edge) <= set(joints) and len(set(edge)) == 2
               for edge in body.edges)
    order = mirror_order(body.num_joints, body.flip_pairs)
    np.testing.assert_array_equal(order[order], joints)
    assert get_layout(asdict(body)) == body
    return body


@examples(200)
@given(SETTINGS)
@example(dict(THREE, flip_pairs=[[0, 1], [1, 2]]))
@example(dict(THREE, flip_pairs=[[1, 1]]))
@example(dict(THREE, bones=[[0, 0], [1, 0], [1, 2]]))
def test_settings(settings):
    check(settings)


@examples(200)
@given(st.dictionaries(st.sampled_from(sorted(THREE)), JUNK), st.none() | JUNK)
@example({}, float('nan'))
@example(dict(joints='abc'), None)
@example(dict(parts={1: [0, 1, 2]}), None)
@example(dict(centre=True), None)
@example(dict(parts=dict(all=np.arange(3))), None)
def test_settings_of_any_type(changed, extra):
    settings = dict(THREE, **changed)
    if extra is not None:
        settings['extra'] = extra
    check(settings)
    check(extra)


@pytest.mark.parametrize('layout', [[], ['ntu25'], {}, {1: 2}, 5, b'ntu25',
                                    float('nan'), {'name'}])
def test_no_layout(layout):
    with pytest.raises(ValueError, match='layout'):
        get_layout(layout)


WHOLE = json.dumps(asdict(NTU25)).encode()


@examples(100)
@given(st.one_of(damaged(WHOLE), damaged(json.dumps(THREE).encode()),
                 JSON.map(lambda x: json.dumps(x).encode())))
@example(nested(100000))
@example(b'\xff\xfe')
@example(b'\xef\xbb\xbf{}')
@example(b'9' * 5000)
def test_files(tmp_path, content):
    path = write(tmp_path / 'x.json', content)
    outcome(lambda: get_layout(path), naming='x.json')
    check(path)


def test_cut_off(tmp_path):
    for content in cuts(WHOLE):
        path = write(tmp_path / 'x.json', content)
        with pytest.raises(ValueError, match='x.json'):
            get_layout(str(path))


def test_file_and_dict_and_layout_agree(tmp_path):
    path = write(tmp_path / 'x.json', WHOLE)
    assert get_layout(path) == get_layout(asdict(NTU25)) == NTU25


def test_a_joint_has_one_partner():
    """Else a mirrored body has lost a joint."""
    with pytest.raises(ValueError, match=r'joint\(s\) \[1\].*more than once'):
        SkeletonLayout(**dict(THREE, flip_pairs=[[0, 1], [1, 2]]))
