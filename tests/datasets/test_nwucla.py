# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""NW-UCLA: original files against the reference pickle, and its splits."""
import json

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.kinect_v1 import JOINTS
from skel_ssl.datasets.sources.nwucla import (
    CLASSES,
    SIZES,
    make_splits,
    read_clip,
)
from tests.conftest import shared_file


def test_original_files_equal_the_reference_pickle():
    """To the bit, with all that is said about them."""
    data = load_annotations(shared_file('data/nwucla_3d.pkl'))
    assert tuple(data['classes']) == CLASSES
    assert tuple(data['joints']) == JOINTS
    expected = {clip['frame_dir']: clip for clip in data['annotations']}
    paths = sorted(shared_file('data/raw/nwucla').glob('*.json'))
    assert len(paths) == 9
    for path in paths:
        [clip] = read_clip(path)
        reference = expected[clip['frame_dir']]
        assert clip['keypoint'].dtype == reference['keypoint'].dtype
        np.testing.assert_array_equal(
            clip.pop('keypoint'), reference.pop('keypoint'))
        assert clip == reference


def test_splits_equal_the_reference_pickle():
    """All of them, the clean ones found by the values of the frames."""
    data = load_annotations(shared_file('data/nwucla_3d.pkl'))
    splits = make_splits(data['annotations'])
    assert splits == data['split']
    assert {name: len(clips) for name, clips in splits.items()} == SIZES


def clip(view, frames, subject=1):
    """A clip whose frames are numbers, by which they can be told apart."""
    keypoint = np.float32(frames)[None, :, None, None]
    return dict(
        frame_dir=f'a01_s{subject:02}_e00_v{view:02}',
        subject=subject,
        view=view,
        keypoint=np.broadcast_to(keypoint, (1, len(frames), 20, 3)))


def test_copies_leave_the_clean_splits():
    """As a whole, or one frame of them; not within the tested view."""
    clips = [clip(1, [1, 2]), clip(1, [9, 5], 2), clip(1, [9, 6], 3),
             clip(2, [3, 4]), clip(2, [7, 5], 2),
             clip(3, [8]), clip(3, [3, 4], 2)]
    splits = make_splits(clips)
    assert splits['xview_val'] == ['a01_s01_e00_v03', 'a01_s02_e00_v03']
    assert splits['xview_clean_val'] == ['a01_s01_e00_v03']
    assert splits['xview_clean_train'] == splits['xview_train'] == [
        x['frame_dir'] for x in clips[:5]]
    assert splits['xview1_clean_val'] == ['a01_s01_e00_v01', 'a01_s03_e00_v01']
    assert splits['xview1_clean_train'] == splits['xview1_train']
    assert splits['xsub_train'] == [
        x['frame_dir'] for x in clips if x['subject'] % 2]


GOOD = np.ones((4, 20, 3)).tolist()


@pytest.mark.parametrize(('name', 'text', 'message'), [
    ('a01_s01_e00_v1', '', 'its name is not like'),
    ('a07_s01_e00_v01', '', 'its name says action 7 and view 1'),
    ('a01_s01_e00_v04', '', 'its name says action 1 and view 4'),
    ('a01_s01_e00_v01', '{"skeletons": [[', 'it is not JSON'),
    ('a01_s01_e00_v01', '[]', 'it is not JSON'),
    ('a01_s01_e00_v01', '{"x": 1}', "KeyError: 'skeletons'"),
    ('a01_s01_e00_v01', json.dumps(dict(skeletons=[GOOD[0], [[1]]])),
     'ValueError'),
    ('a01_s01_e00_v01', json.dumps(dict(skeletons=[])), r'shape \(0,\)'),
    ('a01_s01_e00_v01', json.dumps(dict(skeletons=np.ones((4, 25, 3)).tolist())
                                   ), r'shape \(4, 25, 3\), not'),
    ('a01_s01_e00_v01', json.dumps(
        dict(skeletons=GOOD, file_name='a01_s01_e00_v02')),
     "says that it is 'a01_s01_e00_v02'"),
])
def test_damaged_files(tmp_path, name, text, message):
    path = tmp_path / f'{name}.json'
    path.write_text(text)
    with pytest.raises(BadFileError, match=message):
        list(read_clip(path))
