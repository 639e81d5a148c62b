# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import numpy as np
import pytest
from PIL import Image

from skel_ssl.utils.files import replacing
from skel_ssl.visualization.contact_sheet import draw_contact_sheet
from skel_ssl.visualization.files import save_figure
from skel_ssl.visualization.looks import Heat
from skel_ssl.visualization.skeletons import empty_scene, make_scene


def scene(frames, **kwargs):
    rng = np.random.default_rng(frames)
    return make_scene(rng.normal(size=(1, frames, 25, 3)), 'ntu25', **kwargs)


def cells(fig):
    """The axes with bodies or notes; labels have no frame."""
    return [ax for ax in fig.axes if ax.axison]


def test_rows_and_columns():
    scenes = [scene(11, title='first'), scene(6, title='second'),
              scene(2, title='short')]
    fig = draw_contact_sheet(scenes, 'clip', num_poses=3)
    titles = [ax.get_title() for ax in cells(fig)]
    assert titles == [f'frame {i}' for i in (0, 5, 10, 0, 2, 5, 0, 1)]
    labels = [ax.texts[0].get_text() for ax in fig.axes if not ax.axison]
    assert labels == ['first', 'second', 'short']
    # The poses are those of the frames.
    for ax, frame in zip(cells(fig), (0, 5, 10)):
        np.testing.assert_array_equal(ax.collections[1].get_offsets(),
                                      scenes[0].points[0, frame])


def test_limits_are_common_to_a_row():
    fig = draw_contact_sheet([scene(5), scene(9)], num_poses=4)
    limits = np.array([(ax.get_xlim(), ax.get_ylim()) for ax in cells(fig)])
    for row in (limits[:4], limits[4:]):
        np.testing.assert_allclose(row, row[:1].repeat(4, 0))
    assert not np.allclose(limits[0], limits[4])


def test_nothing_overlaps():
    fig = draw_contact_sheet(
        [scene(9, title='A long name of a transform', details='x=1, ' * 99),
         empty_scene('no keypoints here')], num_poses=4)
    boxes = [ax.get_position() for ax in fig.axes]
    overlaps = [(i, j) for i, one in enumerate(boxes)
                for j in range(i) if one.overlaps(boxes[j])]
    assert not overlaps
    fig.draw_without_rendering()
    label = fig.axes[0]
    frame = label.get_window_extent()
    for text in label.texts:
        box = text.get_window_extent()
        assert box.y0 >= frame.y0 - 1 and box.x1 < fig.axes[
            1].get_window_extent().x0


@pytest.mark.parametrize('num_poses', [1, 2, 8])
def test_the_legend_is_whole_and_below_the_bodies(num_poses):
    hidden = np.zeros((1, 9, 25), bool)
    hidden[:, ::2] = True
    fig = draw_contact_sheet([scene(9, hidden=hidden)], num_poses=num_poses)
    fig.draw_without_rendering()
    legend, = fig.legends
    assert len(legend.get_texts()) > 3
    box = legend.get_window_extent()
    assert fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1
    assert fig.bbox.y0 <= box.y0
    assert box.y1 <= min(ax.get_window_extent().y0 for ax in cells(fig))


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='0 scenes'):
        draw_contact_sheet([])
    with pytest.raises(ValueError, match='num_poses=0'):
        draw_contact_sheet([scene(2)], num_poses=0)


def test_file_is_whole_or_not_there(tmp_path):
    fig = draw_contact_sheet([scene(2)], num_poses=2)
    save_figure(tmp_path / 'a.png', fig, dpi=50)
    size = (fig.get_size_inches() * 50).astype(int).tolist()
    with Image.open(tmp_path / 'a.png') as image:
        assert list(image.size) == size
    with pytest.raises(RuntimeError):
        with replacing(tmp_path / 'a.png') as temporary:
            temporary.write_text('half')
            raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']
    with Image.open(tmp_path / 'a.png') as image:
        assert list(image.size) == size


def test_a_marked_moment_is_among_those_drawn():
    marks = np.zeros((1, 100, 3), bool)
    marks[0, 20:24, 1] = True
    keypoint = np.random.default_rng(0).normal(size=(1, 100, 3, 2))
    fig = draw_contact_sheet([make_scene(keypoint, marks=marks)], '', 3)
    assert [ax.get_title() for ax in fig.axes[1:]] == [
        'frame 22', 'frame 50', 'frame 99']


def test_scale_of_a_heat_is_below_its_label():
    heat = Heat(np.ones((1, 4, 3)), 0., 2., 'metres')
    keypoint = np.random.default_rng(0).normal(size=(1, 4, 3, 2))
    fig = draw_contact_sheet([make_scene(keypoint, heat=heat, title='t')], '',
                             1)
    [scale] = fig.axes[0].child_axes
    assert scale.get_xlabel() == 'metres' and scale.get_xlim() == (0, 2)
    fig.draw_without_rendering()
    text = fig.axes[0].texts[0].get_window_extent()
    assert 0 < scale.get_tightbbox().y0 < scale.get_tightbbox().y1 < text.y0
