# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Bodies in pictures: where they stand, and what their colours say."""
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from skel_ssl.datasets.layouts import COCO17, LAYOUTS, NTU25, SkeletonLayout
from skel_ssl.visualization.cameras import VIEWS, camera, guess_up, project
from skel_ssl.visualization.looks import (
    HIDDEN,
    LEFT,
    MIDDLE,
    REST,
    RIGHT,
    TRUTH,
    Heat,
    get_look,
)
from skel_ssl.visualization.skeletons import (
    draw_moment,
    empty_scene,
    legend_handles,
    make_scene,
    seen_joints,
    set_up_axes,
)


def body(persons=1, frames=3, layout=NTU25, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(persons, frames, layout.num_joints, 3))


def drawn(scene, frame=0):
    ax = Figure().add_subplot()
    set_up_axes(ax, scene)
    return ax, draw_moment(ax, scene, frame)


# A point one metre to the right of the camera of a depth sensor (x leads to
# its left), two above and three away from it.
POINT = np.array([-1., 2., 3.])


@pytest.mark.parametrize('view,expected', [
    ('front', (1, 2)),
    ('side', (3, 2)),  # whoever looks from the right sees the depth
    ('top', (1, 3)),  # what is far is further up
])
def test_camera_frame(view, expected):
    np.testing.assert_allclose(
        project(POINT, view, '+y'), expected, atol=1e-12)


def test_aligned_body_is_seen_from_the_front():
    # z is up and the right hand has the larger x; it is on the left of
    # whoever faces that person.
    np.testing.assert_allclose(
        project(np.array([1., 2., 3.]), 'front', '+z'), [-1, 3])


def test_y_down():
    np.testing.assert_allclose(
        project(np.array([1., 2., 3.]), 'front', '-y'), [1, -2])


def test_image_coordinates_point_down_in_every_view():
    for view in VIEWS:
        assert project(np.array([3, 5]), view, '+z').tolist() == [3, -5]


@pytest.mark.parametrize('view', VIEWS)
@pytest.mark.parametrize('up', ['+x', '-x', '+y', '-y', '+z', '-z'])
def test_cameras_turn_and_do_not_mirror(view, up):
    axes = camera(view, up)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)


def test_unknown_camera():
    with pytest.raises(ValueError, match='back'):
        camera('back')
    with pytest.raises(ValueError, match='y'):
        camera(up='y')
    with pytest.raises(ValueError, match='two or three'):
        project(np.zeros((2, 4)))


@pytest.mark.parametrize('axis,sign,name', [(1, 1, '+y'), (2, 1, '+z'),
                                            (1, -1, '-y')])
def test_up_is_from_feet_to_head(axis, sign, name):
    clip = 0.1 * body(frames=5)
    heads = [j for j, n in enumerate(NTU25.joints) if 'head' in n]
    feet = [j for j, n in enumerate(NTU25.joints)
            if 'foot' in n or 'ankle' in n]
    clip[:, :, heads, axis] += sign
    clip[:, :, feet, axis] -= sign
    assert guess_up([clip], NTU25) == name
    assert guess_up([clip], None, NTU25.joints) == name


def test_up_without_names_is_the_spine():
    layout = SkeletonLayout(
        'stick', ('a', 'b'), ((1, 0), ), {'all': (0, 1)}, 0, spine=(0, 1))
    clip = np.array([[[[1, 1, 1], [1, 1, 2.]]]])
    assert guess_up([clip], layout) == '+z'
    assert guess_up([clip], None) is None


def test_colours_of_parts_and_sides():
    look = get_look('ntu25', 25)
    colour = [to_hex(c) for c in look.joint_colours]
    name = NTU25.joints.index
    assert colour[name('left elbow')] == LEFT[0]
    assert colour[name('left knee')] == LEFT[1]
    assert colour[name('right wrist')] == RIGHT[0]
    assert colour[name('right foot')] == RIGHT[1]
    assert colour[name('head')] == colour[name('left shoulder')] == MIDDLE
    edges = {tuple(e): to_hex(c)
             for e, c in zip(look.edges.tolist(), look.edge_colours)}
    # From the body to a limb: the limb's.
    assert edges[name('left elbow'), name('left shoulder')] == LEFT[0]
    assert edges[name('right knee'), name('right hip')] == RIGHT[1]
    assert edges[name('left shoulder'), name('spine shoulder')] == MIDDLE
    assert look.legend == {
        'left arm': LEFT[0], 'left leg': LEFT[1], 'right arm': RIGHT[0],
        'right leg': RIGHT[1], 'head, torso': MIDDLE
    }


def test_sides_without_parts():
    layout = SkeletonLayout(
        'stick', ('nose', 'l', 'r'), ((1, 0), (2, 0)), {'all': (0, 1, 2)}, 0,
        flip_pairs=((1, 2), ), edges=((0, 1), (0, 2), (1, 2)))
    look = get_look(layout, 3)
    assert [to_hex(c) for c in look.joint_colours] == [
        MIDDLE, LEFT[0], RIGHT[0]]
    assert [to_hex(c) for c in look.edge_colours] == [
        LEFT[0], RIGHT[0], MIDDLE]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_preset_has_a_look(layout):
    joints = LAYOUTS[layout].num_joints
    look = get_look(layout, joints)
    assert look.joint_colours.shape == (joints, 4)
    assert look.edge_colours.shape == (len(LAYOUTS[layout].edges), 4)


def test_wrong_layout():
    with pytest.raises(ValueError, match='20 joints, layout .ntu25. has 25'):
        get_look('ntu25', 20)


def test_seen_joints():
    keypoint = body(2, 2) + 10
    keypoint[1, 0] = 0
    keypoint[0, 1, 7] = 0
    expected = np.ones((2, 2, 25), bool)
    expected[1, 0] = expected[0, 1, 7] = False
    np.testing.assert_array_equal(seen_joints(keypoint), expected)
    # Around the origin zero is a place as any other.
    keypoint[0] -= keypoint[0, 0, 1]
    assert seen_joints(keypoint)[0].all()
    scores = np.ones((2, 2, 25))
    scores[0, 0, 3] = 0
    seen = seen_joints(keypoint, scores)
    assert not seen[0, 0, 3] and not seen[1, 0].any() and seen.sum() == 74


def test_bones_and_joints_are_where_they_were_projected():
    keypoint = body(1, 2)
    ax, (bones, joints) = drawn(make_scene(keypoint, 'ntu25'), 1)
    flat = keypoint[0, 1] * [-1, 1, 1]
    np.testing.assert_allclose(joints.get_offsets(), flat[:, :2])
    np.testing.assert_allclose(bones.get_segments(),
                               flat[np.array(NTU25.edges), :2])
    for i in range(2):
        low, high = (ax.get_xlim(), ax.get_ylim())[i]
        assert low < flat[:, i].min() and high > flat[:, i].max()


def test_one_scale_in_both_directions():
    fig = Figure(figsize=(8, 2))
    ax = fig.add_axes((0, 0, 1, 1))
    set_up_axes(ax, make_scene(body()))
    assert np.ptp(ax.get_xlim()) == pytest.approx(4 * np.ptp(ax.get_ylim()))


def test_absent_persons_have_no_artists():
    keypoint = body(3)
    keypoint[1, 0] = keypoint[:, 1] = 0
    scene = make_scene(keypoint, 'ntu25')
    ax, artists = drawn(scene)
    assert [type(a) for a in artists] == 2 * [LineCollection, PathCollection]
    assert len(ax.collections) == 4
    ax, artists = drawn(scene, 1)
    assert not ax.collections
    assert [a.get_text() for a in artists] == ['nobody']


def test_joint_that_is_not_there_takes_its_bones_along():
    keypoint = body() + 10
    keypoint[0, 0, 5] = 0  # the left elbow, with two bones
    _, (bones, joints) = drawn(make_scene(keypoint, 'ntu25'))
    assert len(joints.get_offsets()) == 24
    assert len(bones.get_segments()) == len(NTU25.edges) - 2


def test_hidden_joints_are_hollow_and_their_bones_grey():
    hidden = np.zeros((1, 3, 25), bool)
    hidden[0, 0, [5, 18]] = True
    scene = make_scene(body(), 'ntu25', hidden=hidden)
    _, (bones, joints) = drawn(scene)
    hollow = (joints.get_facecolors() == to_rgba('white')).all(1)
    grey = (joints.get_edgecolors() == to_rgba(HIDDEN)).all(1)
    np.testing.assert_array_equal(hollow, hidden[0, 0])
    np.testing.assert_array_equal(grey, hidden[0, 0])
    np.testing.assert_array_equal(
        (bones.get_colors() == to_rgba(HIDDEN)).all(1),
        [5 in edge or 18 in edge for edge in NTU25.edges])
    _, (_, joints) = drawn(scene, 1)  # there the mask hides nothing
    assert not (joints.get_facecolors() == to_rgba('white')).all(1).any()


def test_heat_colours_joints_by_their_values():
    values = np.full((1, 3, 25), np.nan)
    values[0, 0, :3] = 0, 5, 10
    heat = Heat(values, 0., 10., 'error', 'seen')
    _, (bones, joints) = drawn(make_scene(body(), 'ntu25', heat=heat))
    fill = joints.get_facecolors()
    # From pale to dark, and grey where there is no value.
    light = fill[:3, :3].sum(1)
    assert light[0] > light[1] + 0.5 > light[2] + 1
    assert (fill[3:] == to_rgba(REST)).all()
    assert (bones.get_colors() == to_rgba(HIDDEN)).all()
    assert joints.get_sizes()[:3].min() > joints.get_sizes()[3:].max()
    labels = [h.get_label() for h in legend_handles(
        [make_scene(body(), 'ntu25', heat=heat)])]
    assert labels == ['seen']  # there are no colours of parts


def test_truth_is_behind_and_marks_are_around():
    keypoint = body()
    marks = np.zeros((1, 3, 25), bool)
    marks[0, 0, [4, 7]] = True
    scene = make_scene(keypoint, 'ntu25', truth=keypoint + [50, 0, 0],
                       marks=marks)
    ax, (bones, _, truth, rings) = drawn(scene)
    assert truth.get_zorder() < bones.get_zorder()
    np.testing.assert_allclose(
        np.array(truth.get_segments()),
        np.array(bones.get_segments()) - [50, 0])
    assert (truth.get_colors() == to_rgba(TRUTH)).all()
    assert ax.get_xlim()[0] < -50  # nothing is cut off
    np.testing.assert_allclose(rings.get_offsets(),
                               keypoint[0, 0, [4, 7], :2] * [-1, 1])
    assert not (rings.get_facecolors()).size
    labels = [h.get_label() for h in legend_handles([scene])]
    assert labels[-2:] == ['truth', 'the token that looks']


def test_scores_are_opacity():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1, (1, 1, 17))
    scores[0, 0, 4] = 0
    keypoint = rng.uniform(1, 99, (1, 1, 17, 2))
    _, (bones, joints) = drawn(make_scene(keypoint, COCO17, scores=scores))
    seen = np.arange(17) != 4
    np.testing.assert_allclose(joints.get_facecolors()[:, 3],
                               0.25 + 0.75 * scores[0, 0, seen])
    edges = [e for e in COCO17.edges if 4 not in e]
    np.testing.assert_allclose(
        bones.get_colors()[:, 3],
        [0.25 + 0.75 * scores[0, 0, list(e)].min() for e in edges])


def test_vectors_start_at_the_origin():
    keypoint = body() + 5
    scene = make_scene(keypoint, 'ntu25', vectors=True)
    ax, (bones, _) = drawn(scene)
    segments = np.array(bones.get_segments())
    assert segments.shape == (25, 2, 2) and not segments[:, 0].any()
    np.testing.assert_allclose(segments[:, 1],
                               keypoint[0, 0, :, :2] * [-1, 1])
    assert ax.get_xlim()[1] > 0 > ax.get_ylim()[0]


def test_without_layout_persons_have_colours():
    scene = make_scene(body(2))
    _, artists = drawn(scene)
    assert len(artists[0].get_segments()) == 0
    assert [to_hex(a.get_facecolors()[0]) for a in artists[1::2]] == [
        LEFT[0], RIGHT[0]]


def test_image_is_framed_and_limits_stay_inside():
    keypoint = np.array([[[[100., 50.], [300., 90.]]]])
    scene = make_scene(keypoint, image=(0, 0, 400, 200))
    ax, _ = drawn(scene)
    frame = ax.lines[0].get_xydata()
    assert frame.min(0).tolist() == [0, -200]
    assert frame.max(0).tolist() == [400, 0]
    # 200 wide: up to 50 more on each side, and an edge of 2.
    np.testing.assert_allclose(scene.limits, [48, -142, 352, 2])


def test_legend_says_what_is_there():
    keypoint = body(2)
    plain = make_scene(keypoint[:1], 'ntu25')
    assert [h.get_label() for h in legend_handles([plain])] == [
        'left arm', 'left leg', 'right arm', 'right leg', 'head, torso']
    full = make_scene(keypoint, 'ntu25', scores=np.ones((2, 3, 25)),
                      hidden=np.ones((2, 3, 25), bool))
    assert [h.get_label() for h in legend_handles([plain, full])][5:] == [
        'person 1', 'person 2', 'hidden by the mask', 'low score']


def test_note_instead_of_bodies():
    _, artists = drawn(empty_scene('no keypoints here'))
    assert [a.get_text() for a in artists] == ['no keypoints here']
