# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The bodies: consistent in themselves, and as published."""
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict

from skel_ssl.datasets import LAYOUTS, get_layout

STICK = dict(
    name='stick',
    joints=['top', 'middle', 'bottom'],
    bones=[[0, 1], [2, 1]],
    parts=dict(ends=[0, 2], rest=[1]),
    centre=1,
    spine=[2, 0])


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
                                         ('coco', [5, 4, 2, 2, 2, 2]),
                                         ('ntu25', [2, 7, 5, 5, 3, 3]),
                                         ('kinect20', [1, 7, 3, 3, 3, 3])])
def test_parts_have_the_published_sizes(name, sizes):
    layout = get_layout(name)
    assert [len(part) for part in layout.parts.values()] == sizes
    for part, joints in layout.parts.items():
        side = part.split()[0]
        if side in ('left', 'right'):
            assert all(layout.joints[j].startswith(side) for j in joints)


def adjacency(name):
    layout = get_layout(name)
    matrix = np.zeros((layout.num_joints, layout.num_joints))
    for one, other in layout.edges:
        matrix[one, other] += 1
        matrix[other, one] += 1
    return matrix


@pytest.mark.parametrize('name, theirs', [('ntu25', 'nturgb+d'),
                                          ('coco', 'coco')])
def test_graphs_of_mmaction2(name, theirs):
    from mmaction.models.utils.graph import Graph
    expected = Graph(layout=theirs, mode='binary_adj').A[0]
    np.testing.assert_array_equal(adjacency(name), expected)


@pytest.mark.parametrize('name, edges', [('coco', 16), ('coco17', 18),
                                         ('kinect20', 19), ('ntu25', 24)])
def test_graphs_are_simple_and_connected(name, edges):
    matrix = adjacency(name)
    assert matrix.sum() == 2 * edges and matrix.max() == 1
    assert not matrix.diagonal().any()
    walks = np.linalg.matrix_power(np.eye(len(matrix)) + matrix, len(matrix))
    assert (walks > 0).all()


def test_coco17_is_joined_across_shoulders_and_hips():
    more = set(get_layout('coco17').edges) - set(get_layout('coco').edges)
    names = get_layout('coco17').joints
    assert {(names[i], names[j]) for i, j in more} == {
        ('left shoulder', 'right shoulder'), ('left hip', 'right hip')}
    assert dataclasses.replace(
        get_layout('coco17'), name='coco', edges=None) == get_layout('coco')


@pytest.mark.parametrize('kind', [dict, ConfigDict])
def test_a_body_of_ones_own(kind):
    body = get_layout(kind(STICK))
    assert body.parents == (1, 1, 1)
    assert body.edges == body.bones == ((0, 1), (2, 1))
    assert body.parts == dict(ends=(0, 2), rest=(1, ))
    assert body.spine == (2, 0) and body.shoulders is None
    assert get_layout(body) is body
    of_tuples = dict(
        STICK,
        joints=('top', 'middle', 'bottom'),
        bones=((0, 1), (2, 1)),
        parts=dict(ends=(0, 2), rest=(1, )))
    assert get_layout(of_tuples) == body
    assert hash(get_layout(of_tuples)) == hash(body)


def test_a_root_that_is_its_own_parent_has_no_edge_to_itself():
    body = get_layout(dict(STICK, bones=[[0, 1], [1, 1], [2, 1]]))
    assert body.parents == (1, 1, 1) and body.edges == ((0, 1), (2, 1))


@pytest.mark.parametrize('kind', [str, lambda path: path])
def test_a_body_from_a_file(tmp_path, kind):
    path = tmp_path / 'stick.json'
    path.write_text(json.dumps(STICK))
    assert get_layout(kind(path)) == get_layout(STICK)


@pytest.mark.parametrize('name', LAYOUTS)
def test_presets_survive_a_file(tmp_path, name):
    path = tmp_path / 'body.json'
    path.write_text(json.dumps(dataclasses.asdict(get_layout(name))))
    assert get_layout(path) == get_layout(name)


def test_the_example_of_the_page_on_data(tmp_path):
    page = Path(__file__).resolve().parents[2] / 'data/README.md'
    text = page.read_text(encoding='utf-8')
    example = text[text.index('{"name"'):]
    path = tmp_path / 'stick.json'
    path.write_text(example[:example.index('\n\n')])
    body = get_layout(path)
    assert body.num_joints == 4 and (2, 3) in body.edges


def without(key):
    return {k: v for k, v in STICK.items() if k != key}


@pytest.mark.parametrize('content, said', [
    ('', 'is not JSON: Expecting value'),
    ('{"name": "stick",', 'is not JSON: .* line 1'),
    (b'\xff\xfe{', 'is not JSON: .*utf-8'),
    ([STICK], 'holds a list; it must be an object'),
    (without('parts'), r"unknown keys \[\], missing keys \['parts'\]"),
    (dict(STICK, edge=[]), r"unknown keys \['edge'\], missing keys \[\]; "
     "it takes .*'edges'"),
    (dict(STICK, name=3), 'name=3 .* not a text'),
    (dict(STICK, joints='abc'), "joints='abc' of layout 'stick' is not a li"),
    (dict(STICK, joints=[0, 1, 2]), 'is not a list of names'),
    (dict(STICK, bones=[[0, 1, 2]]), 'bones=.* not a list of pairs'),
    (dict(STICK, bones=[0, 1]), 'bones=.* not a list of pairs'),
    (dict(STICK, edges=[['top', 'middle']]), 'edges=.* not a list of pairs'),
    (dict(STICK, bones=None), 'bones=None .* not a list of pairs'),
    (dict(STICK, flip_pairs=None), 'flip_pairs=None .* not a list'),
    (dict(STICK, spine=[0]), r'spine=\[0\] .* not a pair of joint indices'),
    (dict(STICK, parts=[[0, 2], [1]]), 'parts=.* not names, each with'),
    (dict(STICK, parts=dict(a=3)), 'parts=.* not names, each with'),
    (dict(STICK, centre=1.), r'centre=1\.0 .* not a joint index'),
    (dict(STICK, centre=True), 'centre=True .* not a joint index'),
    (dict(STICK, centre=3), "'stick' has 3 joints, so joint 3 does not"),
    (dict(STICK, parts=dict(ends=[0, 2])), r'look at joint\(s\) \[1\]'),
])
def test_bad_files(tmp_path, content, said):
    path = tmp_path / 'body.json'
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else
                     content.encode())
    with pytest.raises(ValueError, match=said) as error:
        get_layout(str(path))
    assert str(error.value).startswith(f'layout file {str(path)!r}')


def test_a_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
            FileNotFoundError, match=f"'no.json' .* '{tmp_path}/no.json'"):
        get_layout('no.json')
    with pytest.raises(FileNotFoundError):
        get_layout(tmp_path)


def test_a_bad_dict():
    with pytest.raises(ValueError, match=r"^layout dict: .*\['centre'\]"):
        get_layout(without('centre'))


@pytest.mark.parametrize('change, message', [
    (dict(centre=25), 'joint 25 does not exist: indices run from 0 to 24'),
    (dict(flip_pairs=((4, -1), )), 'joint -1 does not exist'),
    (dict(parts={'a': tuple(range(24))}), r'joint\(s\) \[24\]'),
    (dict(parts={'a': tuple(range(25)), 'b': (3, )}), r'joint\(s\) \[3\]'),
    (dict(edges=((0, 25), )), 'joint 25 does not exist'),
    (dict(edges=((0, 1), (2, 2))), r'edge \(2, 2\) .* a joint to itself'),
    (dict(edges=((0, 1), (1, 0))), r'edge \(1, 0\) .* is there twice'),
    (dict(edges=((0, 1), (0, 1))), r'edge \(0, 1\) .* is there twice'),
])
def test_wrong_bodies(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(get_layout('ntu25'), **change)


def test_unknown_name():
    with pytest.raises(ValueError, match="'ntu26'; presets are .*coco17"):
        get_layout('ntu26')
