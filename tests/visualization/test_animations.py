# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from skel_ssl.visualization import animations
from skel_ssl.visualization.animations import panel_grid, save_animation
from skel_ssl.visualization.skeletons import make_scene


def scene(frames):
    """A point that goes to the right, one unit a frame."""
    keypoint = np.zeros((1, frames, 1, 2))
    keypoint[0, :, 0, 0] = np.arange(1, frames + 1)
    return make_scene(keypoint)


def place(picture):
    """Mean column of the pixels of the point's colour."""
    found = np.all(np.abs(picture.astype(int) - (0, 0x79, 0x8c)) < 20, -1)
    return np.nonzero(found)[1].mean()


def test_gif_has_the_frames_and_the_size(tmp_path):
    path = tmp_path / 'a.gif'
    scenes = [scene(7), scene(4)]
    assert save_animation(path, scenes, 'title', fps=10, dpi=60) == 7
    with Image.open(path) as gif:
        assert gif.n_frames == 7
        assert gif.info['duration'] == 100 and gif.info['loop'] == 0
        # 0.14 + 2 * (2.3 + 0.14) inches by 0.4 + 2.3 + 0.62 + 0.14 + 0.45
        assert gif.size == (302, 234)
    assert [p.name for p in tmp_path.iterdir()] == ['a.gif']


def test_gif_shows_the_motion(tmp_path):
    save_animation(tmp_path / 'a.gif', [scene(5)])
    with Image.open(tmp_path / 'a.gif') as gif:
        places = []
        for i in range(gif.n_frames):
            gif.seek(i)
            places.append(place(np.asarray(gif.convert('RGB'))))
    steps = np.diff(places)
    assert steps.min() > 10
    np.testing.assert_allclose(steps, steps.mean(), atol=1)


def test_no_more_frames_than_asked_for(tmp_path):
    assert save_animation(tmp_path / 'a.gif', [scene(50)], num_frames=3) == 3
    with Image.open(tmp_path / 'a.gif') as gif:
        assert gif.n_frames == 3


def test_panels():
    grids = [panel_grid(n) for n in (1, 2, 3, 4, 11)]
    assert grids == [(1, 1), (1, 2), (1, 3), (2, 2), (3, 4)]


def test_mp4_goes_through_ffmpeg(tmp_path, monkeypatch):
    # A stand-in that writes the pixels it is given.
    program = tmp_path / 'ffmpeg'
    program.write_text(
        f'#!{sys.executable}\nimport sys\n'
        "open(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    program.chmod(0o755)
    monkeypatch.setitem(matplotlib.rcParams, 'animation.ffmpeg_path',
                        str(program))
    path = tmp_path / 'a.mp4'
    assert save_animation(path, [scene(4)], dpi=40) == 4
    # 5 inches by 0.4 + 4.4 + 0.62 + 0.14 + 0.45, even numbers of pixels
    pixels = np.frombuffer(path.read_bytes(), np.uint8).reshape(
        4, 240, 200, 4)
    places = [place(picture[..., :3]) for picture in pixels]
    assert np.diff(places).min() > 5


def test_mp4_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setattr(animations, 'can_write_mp4', lambda: False)
    with pytest.raises(ValueError, match='install ffmpeg.*GIF'):
        save_animation(tmp_path / 'a.mp4', [scene(2)])
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match='.avi'):
        save_animation(tmp_path / 'a.avi', [scene(2)])
    with pytest.raises(ValueError, match='fps=0'):
        save_animation(tmp_path / 'a.gif', [scene(2)], fps=0)
    with pytest.raises(ValueError, match='0 scenes'):
        save_animation(tmp_path / 'a.gif', [])


def test_fault_leaves_no_file(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr(animations, 'draw_moment', fail)
    with pytest.raises(RuntimeError):
        save_animation(tmp_path / 'a.gif', [scene(2)])
    assert not list(tmp_path.iterdir())
