# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the pictures show, not only that there are some."""
import json

import numpy as np
import pytest

from skel_ssl.visualization import draw_learning_curve, draw_mask
from skel_ssl.visualization.curves import read_scalars


def test_mask_figure_marks_the_visible_tokens():
    rng = np.random.default_rng(0)
    mask = np.ones((4, 25), bool)
    visible = {(0, 3), (2, 24), (3, 7)}
    for segment, joint in visible:
        mask[segment, joint] = False
    fig = draw_mask(rng.normal(size=(12, 25, 3)), mask, num_poses=3)
    grid = next(ax for ax in fig.axes if ax.get_xlabel())
    marks = grid.collections[0].get_offsets().data.astype(int)
    assert {tuple(m) for m in marks} == visible
    assert '97%' in fig.get_suptitle()
    # Above, each pose has as many coloured joints as its segment shows.
    poses = [ax for ax in fig.axes if ax.get_title().startswith('frame')]
    assert [ax.get_title() for ax in poses] == [
        'frame 0', 'frame 6', 'frame 11'
    ]
    shown = [len(ax.collections[1].get_offsets()) for ax in poses]
    assert shown == [1, 1, 1]


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
