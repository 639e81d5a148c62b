# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""UTD-MHAD: original files against the reference pickle, and its splits."""
import numpy as np
import pytest
from scipy.io import savemat

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.kinect_v1 import JOINTS
from skel_ssl.datasets.sources.utdmhad import (
    CLASSES,
    SIZES,
    make_splits,
    read_clip,
)
from tests.conftest import shared_file


def test_original_files_equal_the_reference_pickle():
    """To the bit, with all that is said about them."""
    data = load_annotations(shared_file('data/utdmhad_3d.pkl'))
    assert tuple(data['classes']) == CLASSES
    assert tuple(data['joints']) == JOINTS
    expected = {clip['frame_dir']: clip for clip in data['annotations']}
    paths = sorted(shared_file('data/raw/utdmhad').glob('*.mat'))
    assert len(paths) == 3
    for path in paths:
        [clip] = read_clip(path)
        reference = expected[clip['frame_dir']]
        assert clip['keypoint'].dtype == reference['keypoint'].dtype
        np.testing.assert_array_equal(
            clip.pop('keypoint'), reference.pop('keypoint'))
        assert clip == reference


def test_splits_equal_the_reference_pickle():
    data = load_annotations(shared_file('data/utdmhad_3d.pkl'))
    splits = make_splits(data['annotations'])
    assert splits == data['split']
    assert {name: len(clips) for name, clips in splits.items()} == SIZES


def test_joints_are_put_in_order(tmp_path):
    """The official list begins with the head and ends with the hip centre.

    Skeleton_joint_order.txt: head, shoulder centre, spine, hip centre, then
    both arms and both legs as in kinect20.
    """
    path = tmp_path / 'a27_s8_t4_skeleton.mat'
    joints = np.arange(20.)[:, None, None] + np.zeros((20, 3, 5))
    savemat(path, dict(d_skel=joints))
    [clip] = read_clip(path)
    assert clip['keypoint'].shape == (1, 5, 20, 3)
    assert clip['keypoint'][0, 2, :, 1].tolist() == [
        3, 2, 1, 0, *range(4, 20)]
    assert (clip['frame_dir'], clip['label']) == ('a27_s08_t04', 26)


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('a1_s1_t1', b'', 'its name is not like'),
    ('a28_s1_t1_skeleton', b'', 'its name says action 28'),
    ('a1_s1_t1_skeleton', b'', 'it is not a MATLAB file'),
    ('a1_s1_t1_skeleton', b'<html>' * 40, 'it is not a MATLAB file'),
    ('a1_s1_t1_skeleton', dict(other=1.), 'there is no "d_skel"'),
    ('a1_s1_t1_skeleton', dict(d_skel=np.ones((3, 20, 7))),
     r'shape \(3, 20, 7\)'),
    ('a1_s1_t1_skeleton', dict(d_skel='text'), 'and type <U'),
])
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / f'{name}.mat'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)
    with pytest.raises(BadFileError, match=message):
        list(read_clip(path))


def test_cut_off_anywhere(tmp_path):
    """An error that the converter can name, or all of the joints."""
    path = tmp_path / 'a1_s1_t1_skeleton.mat'
    savemat(path, dict(d_skel=np.ones((20, 3, 9))), do_compression=True)
    whole = path.read_bytes()
    for size in range(0, len(whole), 9):
        path.write_bytes(whole[:size])
        with pytest.raises(BadFileError):
            list(read_clip(path))
