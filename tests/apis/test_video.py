# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Videos become clips through MMPose, or one clear error."""
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from skel_ssl.apis import ClipReader, InputError
from skel_ssl.apis.video import follow
from skel_ssl.datasets.layouts import COCO, COCO17
from tests.apis.test_inputs import read, read_one


@pytest.fixture
def video(tmp_path):
    path = str(tmp_path / 'walk.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10,
                             (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def person(x, score):
    return dict(
        keypoints=[[x + j, j] for j in range(17)],
        keypoint_scores=[score] * 17)


@pytest.fixture
def mmpose(monkeypatch):
    """Stands in for MMPose; ``frames`` is what it finds."""
    stub = SimpleNamespace(frames=[])

    class MMPoseInferencer:

        def __init__(self, model):
            assert model == 'human'

        def __call__(self, path):
            assert path.endswith('walk.avi')
            for frame in stub.frames:
                yield dict(predictions=[frame])

    stub.MMPoseInferencer = MMPoseInferencer
    monkeypatch.setitem(sys.modules, 'mmpose', SimpleNamespace(apis=stub))
    monkeypatch.setitem(sys.modules, 'mmpose.apis', stub)
    return stub


class TestVideo:

    def test_poses(self, video, mmpose):
        # The second person is found first, then alone, and nobody at last.
        mmpose.frames = [[person(10, .9), person(40, .8), person(30, .1)],
                         [person(41, .7)], []]
        for layout in (COCO17, COCO):
            clip = read_one(video, ClipReader(layout, 2))
        assert clip['keypoint'].shape == (2, 3, 17, 2)
        assert clip['keypoint'][:, 0, 0, 0].tolist() == [10, 40]
        assert clip['keypoint'][:, 1, 0, 0].tolist() == [0, 41]
        assert not clip['keypoint'][:, 2].any()
        np.testing.assert_allclose(clip['keypoint_score'][:, :, 3],
                                   [[.9, 0, 0], [.8, .7, 0]])
        assert clip['img_shape'] == (48, 64)

    def test_nobody(self, video, mmpose):
        mmpose.frames = [[], []]
        with pytest.raises(InputError, match='finds nobody in its 2 frames'):
            read(video, ClipReader(COCO17, 2))

    def test_other_layouts(self, video, mmpose):
        with pytest.raises(InputError, match="'ntu25'.*needs 3D keypoints"):
            read(video)

    def test_without_mmpose(self, video, monkeypatch):
        monkeypatch.setitem(sys.modules, 'mmpose', None)
        with pytest.raises(InputError, match='"pip install mmpose"'):
            read(video, ClipReader(COCO17, 2))

    def test_no_video(self, tmp_path, mmpose):
        (tmp_path / 'walk.avi').write_bytes(b'x')
        with pytest.raises(InputError, match='cannot be opened as a video'):
            read(tmp_path / 'walk.avi', ClipReader(COCO17, 2))


def test_persons_are_followed_by_place():
    def at(*places):
        frame = np.zeros((len(places), 17, 3), np.float32)
        frame[..., 0] = np.array(places)[:, None]
        return frame

    poses = follow([at(0, 100), at(98, 3), at(97), at(5, 96)], 2)
    assert poses[0, :, 0, 0].tolist() == [0, 3, 0, 5]
    assert poses[1, :, 0, 0].tolist() == [100, 98, 97, 96]
