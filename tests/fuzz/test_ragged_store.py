# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Stores whose files were changed after they were written."""
import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.datasets.ragged_store import (
    COPY,
    IN_STORE,
    INDEX,
    RECORD,
    RaggedStore,
)
from skel_ssl.datasets.ragged_writer import write_store

from . import evil
from .common import JUNK, cuts, damaged, examples, nested, outcome, write

CLIPS = []
for _name, _persons in (('a', 1), ('b', 2), ('c', 3)):
    _keypoint = np.random.default_rng(_persons).normal(
        size=(_persons, 4, 3, 2)).astype('f4')
    _keypoint[1:2] = 0
    _keypoint[2:] = _keypoint[0]
    CLIPS.append(dict(
        frame_dir=_name, label=0, total_frames=4, keypoint=_keypoint,
        keypoint_score=(_keypoint[..., 0] != 0).astype('f4')))


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp('fuzz') / 'x.store'
    write_store(path, CLIPS + [dict(frame_dir='none')], dict(train=['a']))
    return path


@pytest.fixture
def store(sound, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(sound, tmp_path / 'x.store')


def check(path):
    """Clips of the right shape, or one refusal; the clips."""
    def read():
        store = RaggedStore(path)
        data = store.load_index()
        store.find_faults(data['annotations'], 3, 2, True)
        assert all(isinstance(x, dict) for x in store.done_offline)
        return [store.read(x[IN_STORE]) for x in data['annotations']
                if 'fault' not in x[IN_STORE]]

    clips = outcome(read, naming='x.store')
    for clip in clips or ():
        shape = clip['keypoint'].shape
        assert len(shape) == 4 and clip['keypoint'].dtype.kind in 'fiu'
        if 'keypoint_score' in clip:
            assert clip['keypoint_score'].shape == shape[:3]
    return clips


def test_the_sound_store_is_read(store):
    for found, clip in zip(check(store), CLIPS):
        for key, array in found.items():
            np.testing.assert_array_equal(array, clip[key])


@examples(100)
@given(st.data())
def test_damaged_record(store, sound, data):
    whole = (sound / RECORD).read_bytes()
    write(store / RECORD, data.draw(damaged(whole)))
    check(store)


def test_record_cut_off(store, sound):
    for text in cuts((sound / RECORD).read_bytes()):
        write(store / RECORD, text)
        assert check(store) is None


PLACES = [('body', ), ('normalised', ), ('files', ), ('counts', ), ('kind', ),
          ('files', INDEX), ('files', 'keypoint.npy'),
          ('files', 'keypoint.npy', 'bytes'),
          ('files', 'keypoint.npy', 'dtype'),
          ('files', 'keypoint.npy', 'shape'),
          ('files', 'keypoint.npy', 'sha256'),
          ('files', 'keypoint_score.npy'),
          ('files', 'keypoint_score.npy', 'shape')]
RECORD_JUNK = st.one_of(
    JUNK, st.lists(st.integers(-1, 2**40), max_size=4),
    st.sampled_from(['<f4', '>f8', 'O', '|V8', 'x', '<f4,<f4', '(2,)f4']))


@examples(150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), RECORD_JUNK), min_size=1,
                max_size=3), st.booleans())
@example([(('files', ), [])], False)
@example([(('files', ), {'../../../etc/passwd': dict(bytes=1)})], False)
@example([(('files', 'keypoint.npy', 'shape'), [-1, 3, 2])], False)
@example([(('files', 'keypoint.npy', 'dtype'), None)], True)
def test_record_of_any_content(store, sound, edits, drop):
    record = json.loads((sound / RECORD).read_text())
    for place, junk in edits:
        parent = record
        for key in place[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if not isinstance(parent, dict):
            continue
        if drop:
            parent.pop(place[-1], None)
        else:
            parent[place[-1]] = junk
    try:
        text = json.dumps(record)
    except (TypeError, ValueError):
        return  # what no JSON can hold
    (store / RECORD).write_text(text)
    check(store)


@pytest.mark.parametrize('text', [
    nested(100000), b'{}', b'[]', b'\xff', b'9' * 5000,
    json.dumps(dict(kind='skel_ssl ragged store', format=1)).encode()])
def test_other_records(store, text):
    write(store / RECORD, text)
    assert check(store) is None


def with_entry(store, sound, **changed):
    data = pickle.loads((sound / INDEX).read_bytes())
    data['annotations'][1][IN_STORE].update(changed)
    content = pickle.dumps(data, 4)
    record = json.loads((sound / RECORD).read_text())
    record['files'][INDEX]['bytes'] = len(content)
    (store / RECORD).write_text(json.dumps(record))
    write(store / INDEX, content)


NUMBERS = st.one_of(st.integers(-9, 30), st.sampled_from(
    [10**12, 2**63, -1, True, None, 1.5, '1']), JUNK)


@examples(150)
@given(st.dictionaries(
    st.sampled_from(['persons', 'frames', 'keypoint', 'keypoint_score']),
    NUMBERS | st.lists(NUMBERS, max_size=4), min_size=1))
@example(dict(persons=[COPY, -1]))
@example(dict(persons=[0, COPY]))
@example(dict(persons=[2, 4]))
@example(dict(persons=[0, 0], frames=10**12))
@example(dict(frames=10**12))
@example(dict(keypoint=-4))
@example(dict(keypoint=5000))
@example(dict(persons=[]))
@example(dict(keypoint=None))
def test_index_of_any_content(store, sound, changed):
    with_entry(store, sound, **changed)
    check(store)


@pytest.mark.parametrize('junk', [None, 5, [], {}, dict(fault=3)])
def test_clips_without_a_place(store, sound, junk):
    data = pickle.loads((sound / INDEX).read_bytes())
    data['annotations'][0][IN_STORE] = junk
    content = pickle.dumps(data, 4)
    record = json.loads((sound / RECORD).read_text())
    record['files'][INDEX]['bytes'] = len(content)
    (store / RECORD).write_text(json.dumps(record))
    write(store / INDEX, content)
    with pytest.raises(ValueError, match="x.store.*clip 'a'"):
        RaggedStore(store).load_index()


@pytest.mark.parametrize('file', [INDEX, 'keypoint.npy', 'keypoint_score.npy'])
def test_files_cut_off_or_swapped(store, sound, file):
    for content in cuts((sound / file).read_bytes(), 10):
        write(store / file, content)
        assert check(store) is None
    (store / file).unlink()
    assert check(store) is None
    (store / file).mkdir()
    assert check(store) is None


def test_evil_index(store, sound, tmp_path):
    marker = tmp_path / 'marker'
    record = json.loads((sound / RECORD).read_text())
    for _, body in (*evil.opcodes(marker), *evil.false_arrays()):
        content = evil.in_annotations(body)
        record['files'][INDEX]['bytes'] = len(content)
        (store / RECORD).write_text(json.dumps(record))
        write(store / INDEX, content)
        assert check(store) is None
    assert not marker.exists()
