# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the pictures show, not only that there are some."""
import json

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from skel_ssl.datasets.layouts import NTU25
from skel_ssl.visualization import draw_learning_curve, draw_mask
from skel_ssl.visualization.curves import (
    curve,
    draw_curves,
    find_logs,
    read_scalars,
)
from skel_ssl.visualization.tokens import spread_tokens


def test_mask_figure_marks_the_visible_tokens():
    rng = np.random.default_rng(0)
    mask = np.ones((4, 25), bool)
    visible = {(0, 3), (2, 24), (3, 7)}
    for segment, joint in visible:
        mask[segment, joint] = False
    fig = draw_mask(rng.normal(size=(12, 25, 3)), mask, num_poses=3)
    white = to_rgba('white')
    grid = next(ax for ax in fig.axes if ax.get_xlabel())
    marks = grid.collections[0].get_offsets().data.astype(int)
    assert {tuple(m) for m in marks} == visible
    assert '97%' in fig.get_suptitle()
    # Above, each pose has as many coloured joints as its segment shows.
    poses = [ax for ax in fig.axes if ax.get_title().startswith('frame')]
    assert [ax.get_title() for ax in poses] == [
        'frame 0', 'frame 6', 'frame 11'
    ]
    hollow = [(ax.collections[1].get_facecolors() == white).all(1)
              for ax in poses]
    seen = [np.flatnonzero(~x).tolist() for x in hollow]
    assert seen == [[3], [24], [7]]


def test_mask_of_some_joints_has_their_names():
    """HA-CM: the trunk is no token and hidden from nobody."""
    joints = [3, 5, 9]
    mask = np.array([[True, False, True]])
    fig = draw_mask(np.ones((4, 25, 3)) + np.arange(25)[:, None], mask,
                    num_poses=1, token_joints=joints)
    grid = next(ax for ax in fig.axes if ax.get_xlabel())
    names = [t.get_text() for t in grid.get_yticklabels()]
    assert names == [NTU25.joints[j] for j in joints]
    assert grid.collections[0].get_offsets().tolist() == [[0, 1]]
    assert grid.images[0].get_array().shape == (3, 1)
    fill = fig.axes[0].collections[1].get_facecolors()
    hollow = (fill == to_rgba('white')).all(1)
    assert np.flatnonzero(hollow).tolist() == [3, 9]


def test_mask_of_other_joints():
    with pytest.raises(ValueError, match='3 joints cannot be put on 25'):
        draw_mask(np.ones((4, 25, 3)), np.ones((1, 3), bool))


def test_tokens_are_spread_over_frames_and_joints():
    values = np.arange(4.).reshape(1, 2, 2)
    out = spread_tokens(values, 6, 3, [2, 0], -1)
    assert out[0, :3].tolist() == [[1, -1, 0]] * 3
    assert out[0, 3:].tolist() == [[3, -1, 2]] * 3
    with pytest.raises(ValueError, match='5 frames are not a multiple of 2'):
        spread_tokens(values, 5, 2)


def test_learning_curve_has_the_logged_values(tmp_path):
    log = tmp_path / 'scalars.json'
    records = [dict(lr=.1 * i, loss=1. / i, step=i) for i in range(1, 5)]
    records.insert(2, {'acc/top1': .5, 'step': 2})
    text = '\n'.join(json.dumps(r) for r in records)
    log.write_text(text + '\n{"lr": 0.')  # cut off by a kill
    assert len(read_scalars(log)) == 5
    fig = draw_learning_curve(log)
    assert [ax.get_title() for ax in fig.axes] == ['loss', 'learning rate']
    steps, loss = fig.axes[0].lines[0].get_data()
    assert steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(loss, [1, 1 / 2, 1 / 3, 1 / 4])


def test_a_log_without_losses(tmp_path):
    log = tmp_path / 'scalars.json'
    log.write_text('{"acc/top1": 0.5, "step": 1}\n')
    with pytest.raises(ValueError, match='no training loss'):
        draw_learning_curve(log)


def records(steps, **scalars):
    return [dict(step=s, iter=s, **{k: v * s for k, v in scalars.items()})
            for s in steps]


def test_a_resumed_run_is_one_curve():
    logs = [records([1, 2, 3, 4], loss=1.), records([3, 4, 5], loss=10.)]
    steps, values = curve(logs, 'loss')
    assert steps.tolist() == [1, 2, 3, 4, 5]
    assert values.tolist() == [1, 2, 30, 40, 50]
    assert curve(logs, 'lr')[0].size == 0


def test_runs_have_colours_and_a_legend():
    one = [*records(range(10), loss=1.), {'step': 2, 'acc/top1': .5}]
    fig = draw_curves({'a': [one], 'b': [records([4, 8], loss=2.)]})
    assert [ax.get_title() for ax in fig.axes] == ['loss', 'top-1 accuracy']
    assert [ax.get_xlabel() for ax in fig.axes] == ['iteration', 'epoch']
    first, second = fig.axes[0].lines
    assert first.get_color() != second.get_color()
    assert second.get_xydata().tolist() == [[4, 8], [8, 16]]
    [legend] = fig.legends
    assert [t.get_text() for t in legend.get_texts()] == ['a', 'b']


def test_smoothing_keeps_the_points():
    log = [dict(step=s, iter=s, loss=v) for s, v in enumerate([3., 0, 0, 3])]
    points, mean = draw_curves({'a': [log]}, smooth=3).axes[0].lines
    assert points.get_ydata().tolist() == [3, 0, 0, 3]
    np.testing.assert_allclose(mean.get_ydata(), [2, 1, 1, 2])
    assert points.get_alpha() < 1


def test_scalars_that_nobody_logged():
    log = records([1], loss=1., loss_rec=1.)
    with pytest.raises(ValueError, match=r"no log has \['los'\].*loss_rec"):
        draw_curves({'a': [log]}, ['los'])
    with pytest.raises(ValueError, match='no records at all'):
        draw_curves({'a': [[]]})
    with pytest.raises(ValueError, match='smooth=0'):
        draw_curves({'a': [log]}, smooth=0)


def test_logs_of_a_work_dir(tmp_path):
    paths = [tmp_path / name / 'vis_data/scalars.json'
             for name in ('2_later', '1_before')]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text('')
    assert find_logs(tmp_path) == paths[::-1]
    assert find_logs(paths[0]) == paths[:1]
    with pytest.raises(FileNotFoundError, match='neither a scalars.json nor'):
        find_logs(tmp_path / '1_before')
