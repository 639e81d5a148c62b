# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Recordings of one's own: each kind of file, and each thing amiss."""
import json

import numpy as np
import pytest

from skel_ssl.datasets.layouts import get_layout
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.recordings import read_recording
from tests.datasets.recording_files import write_csv

LAYOUT = get_layout(
    dict(name='stick', joints=['top', 'middle', 'left end', 'right end'],
         bones=[[0, 1], [2, 1], [3, 1]],
         parts=dict(trunk=[0, 1], ends=[2, 3]), centre=1))
NAMES = list(LAYOUT.joints)


def walk(persons=1, frames=6, axes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(persons, frames, 4, axes)).astype(np.float32)


@pytest.mark.parametrize('persons', [1, 2, 3])
@pytest.mark.parametrize('axes', [2, 3])
@pytest.mark.parametrize('scored', [False, True])
def test_csv(tmp_path, persons, axes, scored):
    """Persons, frames and joints are where they were."""
    keypoint = walk(persons, 6, axes)
    score = np.abs(walk(persons, 6, 1)[..., 0]) if scored else None
    if persons > 1:
        keypoint[1, 2:4] = 0
        if scored:
            score[1, 2:4] = 0
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, keypoint, score)
    found = read_recording(path, LAYOUT)
    assert found.keypoint.dtype == np.float32
    np.testing.assert_array_equal(found.keypoint, keypoint)
    if scored:
        np.testing.assert_array_equal(found.score, score)
    else:
        assert found.score is None


def test_csv_in_any_order(tmp_path):
    """Of columns, rows, and numbers of frames and persons."""
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, walk(2))
    header, *rows = [
        line.split(',') for line in path.read_text().splitlines()]
    for row in rows:
        row[0] = str(70 + 5 * int(row[0]))
        row[1] = str(1000 + 33.5 * int(row[1]))
    order = np.random.default_rng(0).permutation(len(header))
    lines = [[f' {row[i]} ' for i in order] for row in (header, *rows[::-1])]
    path.write_text('\ufeff' + '\r\n'.join(map(','.join, lines)) + '\r\n\r\n',
                    encoding='utf-8')
    np.testing.assert_array_equal(
        read_recording(path, LAYOUT).keypoint, walk(2))


def number_frames(path, number):
    """Write another number into the column of frames."""
    header, *rows = [
        line.split(',') for line in path.read_text().splitlines()]
    column = header.index('frame')
    for row in rows:
        row[column] = str(number(int(row[column])))
    path.write_text('\n'.join(map(','.join, [header, *rows])))


@pytest.mark.parametrize('step', [1, 5])
def test_frames_without_a_row_stay(tmp_path, step):
    keypoint = walk(2, 10)
    keypoint[0, 2:4] = 0  # somebody else is there
    keypoint[:, 5:8] = 0
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, keypoint)
    number_frames(path, lambda n: 7 + step * n)
    np.testing.assert_array_equal(
        read_recording(path, LAYOUT).keypoint, keypoint)


@pytest.mark.parametrize('frames', [(0, 33, 67, 100), (0, .04, .08, 4)])
def test_times_are_no_frames(tmp_path, frames):
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, walk(1, 4))
    number_frames(path, lambda n: frames[n])
    np.testing.assert_array_equal(
        read_recording(path, LAYOUT).keypoint, walk(1, 4))


def test_frames_that_are_far_apart(tmp_path):
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, walk(1, 4))
    number_frames(path, lambda n: 10**11 if n == 3 else n)
    with pytest.raises(BadFileError, match='from 0 to 1e.11, so hardly any'):
        read_recording(path, LAYOUT)


@pytest.mark.parametrize('mark, said', [(';', 'semicolons'),
                                        ('\t', 'tabs')])
def test_other_separators(tmp_path, mark, said):
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, walk())
    path.write_text(path.read_text().replace(',', mark))
    with pytest.raises(BadFileError, match=f'separated by {said}: write com'):
        read_recording(path, LAYOUT)


def text_of(tmp_path, persons=1):
    path = tmp_path / 'x.csv'
    write_csv(path, NAMES, walk(persons))
    return path, path.read_text()


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('left end_x', 'left_end_x',
     r"layout 'stick': 1 missing: left end_x \(is it left_end_x\?\); 1 unk"),
    ('frame', 'time', r'1 missing: frame; 1 unknown: time'),
    (',top_z', '', '1 missing: top_z'),
    ('top_z', 'top_x', r"its header has \['top_x'\] more than once"),
    ('top_x', 'a,top_x', '1 unknown: a'),
    ('\n1,', '\n1,5,', 'row 2 has 14 cells, the header 13'),
    ('\n1,', '\n1x,', "row 2, frame: '1x' is not a number"),
    ('\n1,', '\n0,', 'there are 2 rows for person 0 in frame 0: several'),
])
def test_csv_faults(tmp_path, old, new, message):
    path, text = text_of(tmp_path)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadFileError, match=message):
        read_recording(path, LAYOUT)


def test_csv_gap_of_a_joint(tmp_path):
    path, text = text_of(tmp_path)
    cells = text.splitlines()[2].split(',')
    path.write_text(text.replace(cells[5], '', 1))
    with pytest.raises(BadFileError, match="row 2, middle_y: '' is not .*Fill "
                       'gaps'):
        read_recording(path, LAYOUT)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', '9 missing: frame, top_x'),
    (b'PK\x03\x04\xff\xfe', 'it is not CSV in UTF-8'),
])
def test_not_csv(tmp_path, content, message):
    path, text = text_of(tmp_path)
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=message):
        read_recording(path, LAYOUT)
    path.write_text(text.splitlines()[0])
    with pytest.raises(BadFileError, match='no rows below its header'):
        read_recording(path, LAYOUT)


@pytest.mark.parametrize('persons', [None, 1, 2])
def test_json(tmp_path, persons):
    path = tmp_path / 'x.json'
    keypoint, score = walk(persons or 1), np.abs(walk(persons or 1))[..., 0]
    content = dict(frames=keypoint.tolist(), scores=score.tolist())
    if persons is None:
        content = dict(frames=keypoint[0].tolist(), scores=score[0].tolist())
    path.write_text(json.dumps(content))
    found = read_recording(path, LAYOUT)
    np.testing.assert_array_equal(found.keypoint, keypoint)
    np.testing.assert_array_equal(found.score, score)


def test_json_with_joints_in_another_order(tmp_path):
    path = tmp_path / 'x.json'
    keypoint, order = walk(2), [2, 0, 3, 1]
    content = dict(joints=[NAMES[i] for i in order],
                   frames=keypoint[:, :, order].tolist())
    path.write_text(json.dumps(content))
    found = read_recording(path, LAYOUT)
    np.testing.assert_array_equal(found.keypoint, keypoint)
    assert found.score is None


@pytest.mark.parametrize(('content', 'message'), [
    ('{', 'it is not JSON'),
    ('[]', 'it is a list, not an object with'),
    ('{"frames": [[[1, "x", 3]]]}', r'"frames"\[0\]\[0\]\[1\] is "x", not a'),
    ('{"frames": [[[1, {}, 3]]]}', r'"frames"\[0\]\[0\]\[1\] is {}, not a n'),
    ('{"frames": [[[1, 2], [1, 2]], [[1, 2], null]]}',
     r'"frames"\[1\]\[1\] is null, not a number. Fill gaps'),
    ('{"frames": [[[1, 2]], null, [[1, 2]]]}', r'"frames"\[1\] is null, not'),
    ('{"frames": [[[1, 2, 3]], [[1, 2]]]}', '"frames" are no array of num'),
    ('{"frames": [[[1, 2, 3], [1, 2, 3]], [[1, 2, 3]], [[1, 2, 3]]]}',
     r'"frames"\[0\] has 2 entries, most others have 1'),
    ('{"frames": {"0": 1}}', '"frames" is {"0": 1}, not a number'),
    ('{"frames": ' + 400 * '[' + ']' * 400 + '}', '"frames" are no array'),
    ('{"frames": [[[1, 2]]], "scores": [["a"]]}', r'"scores"\[0\]\[0\] is "a'),
    ('{"frame": []}', r"an object with \['frame'\], not an object with the"),
    (json.dumps(dict(frames=np.zeros((12, 2, 4, 3)).tolist())),
     '12 persons in 2 frames: persons come first'),
    ('{"frames": [[[1, 2, 3, 4]]]}', r'shape \(1, 1, 1, 4\), not'),
    ('{"frames": [1, 2]}', r'shape \(2,\), not'),
    (json.dumps(dict(frames=walk()[0].tolist(), joints=NAMES[:3])),
     '1 missing: right end'),
    (json.dumps(dict(frames=walk()[0].tolist(), joints=[*NAMES, 'top'])),
     'one is there twice'),
    (json.dumps(dict(frames=walk()[0].tolist(), joints=[
        'top', 'mid', 'left end', 'right end'])),
     r'middle \(is it mid\?\); 1 unknown: mid \(is it middle'),
])
def test_json_faults(tmp_path, content, message):
    path = tmp_path / 'x.json'
    path.write_text(content)
    with pytest.raises(BadFileError, match=message):
        read_recording(path, LAYOUT)


@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.int32])
def test_numpy(tmp_path, dtype):
    keypoint = np.round(100 * walk(2)).astype(dtype)
    score = np.abs(keypoint[..., 0])
    np.save(tmp_path / 'x.npy', keypoint)
    np.savez(tmp_path / 'x.npz', keypoint=keypoint, keypoint_score=score)
    np.savez(tmp_path / 'y.npz', keypoint=keypoint[0])
    for name in ('x.npy', 'x.npz'):
        found = read_recording(tmp_path / name, LAYOUT)
        assert found.keypoint.dtype == np.float32
        np.testing.assert_array_equal(found.keypoint, keypoint)
        if found.score is not None:
            np.testing.assert_array_equal(found.score, score)
        assert (found.score is None) is (name == 'x.npy')
    found = read_recording(tmp_path / 'y.npz', LAYOUT)
    np.testing.assert_array_equal(found.keypoint, keypoint[:1])


def test_numpy_faults(tmp_path):
    np.savez(tmp_path / 'x.npz', positions=walk())
    np.savez(tmp_path / 'text.npz', keypoint=np.array(['a']))
    np.save(tmp_path / 'objects.npy', np.array([{}]), allow_pickle=True)
    np.save(tmp_path / 'flat.npy', walk()[0, 0])
    (tmp_path / 'page.npy').write_text('<html>')
    (tmp_path / 'empty.npy').write_text('')
    (tmp_path / 'cut.npz').write_bytes(
        (tmp_path / 'x.npz').read_bytes()[:-30])
    (tmp_path / 'x.bvh').write_text('HIERARCHY')
    for name, message in (
        ('x.npz', 'it is not a NumPy file'),
        ('text.npz', 'it holds <U1, not numbers'),
        ('objects.npy', 'it is not a NumPy file'),
        ('flat.npy', r'shape \(4, 3\), not \(frames'),
        ('page.npy', 'it is not a NumPy file'),
        ('empty.npy', 'it is not a NumPy file'),
        ('cut.npz', 'it is not a NumPy file'),
        ('x.bvh', "'.bvh' files are not read: .csv, .json, .npy, .npz are"),
    ):
        with pytest.raises(BadFileError, match=message):
            read_recording(tmp_path / name, LAYOUT)
