# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""CSV and JSON recordings, and the tables of their labels."""
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.recording_labels import (
    make_splits,
    read_labels,
)
from skel_ssl.datasets.sources.recordings import read_recording
from tests.datasets.recording_files import write_csv

from .common import JSON, cuts, damaged, examples, nested, outcome, write

BODY = SkeletonLayout(
    name='three', joints=('hip', 'left', 'right'), bones=((1, 0), (2, 0)),
    parts=dict(all=(0, 1, 2)), centre=0, flip_pairs=((1, 2), ))
COLUMNS = ['frame', 'person'] + [
    f'{joint}_{axis}' for joint in BODY.joints for axis in 'xyz']
WHOLE = (','.join(COLUMNS) + '\n' + ''.join(
    f'{t},{p},' + ','.join(f'{t + p + i / 8}' for i in range(9)) + '\n'
    for t in range(3) for p in range(2))).encode()


def check(path):
    """A recording of the right shape, or one readable refusal."""
    found = outcome(lambda: read_recording(path, BODY), (BadFileError, ))
    if found is None:
        return None
    keypoint, score = found
    assert keypoint.dtype == np.float32
    assert keypoint.ndim == 4 and keypoint.shape[3] in (2, 3)
    if score is not None:
        assert score.dtype == np.float32
        assert score.shape == keypoint.shape[:3]
    return found


@examples(60)
@given(damaged(WHOLE))
@example(b'')
@example(b'\xef\xbb\xbf' + WHOLE)
@example(WHOLE.replace(b',', b';'))
@example(WHOLE.replace(b'.', b','))
@example(WHOLE.replace(b'0,0,0.0', b'0,0,'))
@example(WHOLE.replace(b'0,0,0.0', b'nan,0,0.0'))
@example(WHOLE.replace(b'0,0,0.0', b'0,inf,0.0'))
@example(WHOLE.replace(b'0,0,0.0', b'0,0,1e300'))
@example(WHOLE + b'"' + b'x' * 200000)
@example(WHOLE.decode().encode('utf-16'))
@example(b','.join(b'c%d' % i for i in range(30000)) + b'\n1')
@example(b'a,' * 30000 + b'\n1')
def test_damaged_csv(tmp_path, text):
    check(write(tmp_path / 'x.csv', text))


CELLS = st.one_of(
    st.floats(width=32).map(repr), st.integers(-5, 5).map(str),
    st.sampled_from(['', ' ', 'nan', '-inf', '1,5', '1e999', '٣', '1_0', 'x',
                     '"', '\n', '0x1', '1 2']))


@examples(60)
@given(st.sampled_from([COLUMNS, COLUMNS[:1] + COLUMNS[2:],
                        [c for c in COLUMNS if c[-1] != 'z']]).flatmap(
                            st.permutations),
       st.lists(st.lists(CELLS, min_size=8, max_size=12), max_size=5),
       st.sampled_from([',', ';', '\t']), st.sampled_from(['\n', '\r\n',
                                                           '\r']))
def test_tables(tmp_path, header, rows, comma, end):
    lines = [comma.join(row) for row in [header, *rows]]
    check(write(tmp_path / 'x.csv', end.join(lines).encode()))


def test_persons_that_are_hardly_there(tmp_path):
    """A number of its own for each row: squares of the rows, in memory."""
    rows = ''.join(f'{i},{i},' + ','.join('1' * 9) + '\n'
                   for i in range(20000))
    path = tmp_path / 'x.csv'
    path.write_text(','.join(COLUMNS) + '\n' + rows)
    with pytest.raises(BadFileError, match='and "person" right'):
        read_recording(path, BODY)


@examples(30)
@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 3]),
       st.booleans(), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(tmp_path, persons, frames, axes, scored,
                                 seed):
    rng = np.random.default_rng(seed)
    keypoint = rng.normal(size=(persons, frames, 3, axes)).astype('f4')
    score = rng.uniform(size=keypoint.shape[:3]).astype('f4')
    score = score if scored else None
    write_csv(tmp_path / 'x.csv', BODY.joints, keypoint, score)
    content = dict(frames=keypoint.tolist())
    arrays = dict(keypoint=keypoint)
    if scored:
        content['scores'] = score.tolist()
        arrays['keypoint_score'] = score
    (tmp_path / 'x.json').write_text(json.dumps(content))
    np.savez(tmp_path / 'x.npz', **arrays)
    for kind in ('csv', 'json', 'npz'):
        found = read_recording(tmp_path / f'x.{kind}', BODY)
        np.testing.assert_array_equal(found.keypoint, keypoint)
        if scored:
            np.testing.assert_array_equal(found.score, score)
        else:
            assert found.score is None


FRAMES = [[[0, 0, 1], [1, 2, 3], [4, 5, 6.5]]] * 2
SOUND = dict(frames=FRAMES, scores=[[1, 1, .5]] * 2, joints=list(BODY.joints))


@examples(100)
@given(st.fixed_dictionaries({}, optional={
    key: st.one_of(st.just(value), JSON) for key, value in SOUND.items()}))
@example(dict(SOUND, joints=5))
@example(dict(SOUND, joints='hipleftright'))
@example(dict(SOUND, joints=dict.fromkeys(BODY.joints)))
@example(dict(SOUND, joints=[['hip'], {}, None]))
@example(dict(SOUND, joints=['hip', 'left', 'left']))
@example(dict(SOUND, scores=[1, 2]))
@example(dict(SOUND, scores=[[1, 1]] * 2))
@example(dict(SOUND, scores={}))
@example(dict(frames=[[[10**400] * 3] * 3]))
@example(dict(frames=[[[1e300] * 3] * 3]))
@example(dict(frames=[[[None, True, '1']] * 3]))
@example(dict(frames=[]))
@example(dict(frames=[[]]))
@example(dict(frames=[[1], [1, 2]]))
def test_json_of_any_structure(tmp_path, content):
    path = tmp_path / 'x.json'
    path.write_text(json.dumps(content))
    check(path)


@examples(60)
@given(st.one_of(damaged(json.dumps(SOUND).encode()),
                 JSON.map(lambda x: json.dumps(x).encode())))
@example(nested(100000))
@example(nested(100000, '{"frames":', '}'))
@example(b'{"frames": ' + nested(70) + b'}')
@example(b'9' * 5000)
@example(b'\xff')
def test_damaged_json(tmp_path, text):
    check(write(tmp_path / 'x.json', text))


LABELS = b'file,label,subject\na.csv,wave,s1\nb.csv,clap,s2\nc/d.csv,wave,s3\n'


@examples(60)
@given(damaged(LABELS))
@example(b'')
@example(b'file,label\n')
@example(LABELS.decode().encode('utf-16'))
@example(LABELS + b'"' + b'x' * 200000)
@example(LABELS.replace(b',', b';'))
def test_label_tables(tmp_path, text):
    path = write(tmp_path / 'labels.csv', text)
    rows = outcome(lambda: read_labels(path), naming='labels.csv')
    if rows is None:
        return
    assert all(name and row.label for name, row in rows.items())
    clips = [dict(frame_dir=name, label=0, file=name) for name in rows]
    splits = outcome(lambda: make_splits(clips, rows))
    if splits is not None:
        assert sorted(n for part in splits.values() for n in part) == (
            sorted(rows))


def test_cut_off(tmp_path):
    for name, whole in (('x.csv', WHOLE), ('labels.csv', LABELS),
                        ('x.json', json.dumps(SOUND).encode())):
        for text in cuts(whole):
            path = write(tmp_path / name, text)
            if name == 'labels.csv':
                outcome(lambda: read_labels(path), naming=name)  # noqa: B023
            else:
                check(path)
