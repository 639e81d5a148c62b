# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Whatever is in the file: findings or one readable error, no traceback."""
import copy
import io
import json
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.doctor import examine
from skel_ssl.datasets.doctor.fix import mend
from skel_ssl.datasets.doctor.picture import draw_examination
from skel_ssl.datasets.doctor.report import print_fixes, print_report
from skel_ssl.datasets.doctor.summary import summarise
from skel_ssl.datasets.pose_writer import write_pose_pickle
from tests.datasets.doctor.test_files import make

ARRAYS = st.builds(
    lambda shape, kind, value: np.full(shape, value).astype(kind),
    st.lists(st.integers(0, 4), max_size=5).map(tuple),
    st.sampled_from(['f2', 'f4', 'f8', 'i4', 'u1', 'c8', 'O', 'U3', 'b1']),
    st.sampled_from([0, 1, 7]))
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(),
    st.text(max_size=5), st.binary(max_size=3), ARRAYS,
    st.sampled_from([(), [], {}, ['a'], ['a', 'a'], [['a']], {'a': 1}, {3},
                     1e300, np.float32(2), np.int64(1), np.str_('b'), '[/red]',
                     np.full((1, 12, 20, 3), 1e300), np.ones((1, 12, 20, 3)),
                     np.full((2, 3, 20, 3), 1e-42, np.float32)]))
EDITS = st.lists(
    st.tuples(st.integers(0, 2**16), st.sampled_from(['set', 'drop', 'add']),
              JUNK), min_size=1, max_size=6)


def sound():
    clips = make('abcd')
    clips[1]['keypoint_score'] = np.ones((1, 12, 20))
    clips[2]['subject'] = 3
    return dict(
        split=dict(train=['a', 'b'], val=['c', 'd'], xsub_train=['a'],
                   xsub_val=['d']),
        annotations=clips,
        classes=['x'],
        joints=[f'joint {i}' for i in range(20)])


def places(thing):
    """Every dict and list in a data set, with every key in it."""
    keys = (list(thing) if isinstance(thing, dict) else
            range(len(thing)) if isinstance(thing, list) else ())
    for key in keys:
        yield thing, key
        yield from places(thing[key])


def damage(data, edits):
    for number, what, junk in edits:
        found = list(places(data))
        if not found:
            return
        parent, key = found[number % len(found)]
        if what == 'set':
            parent[key] = copy.deepcopy(junk)
        elif what == 'drop':
            del parent[key]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(junk))
        else:
            parent[f'{key}'] = [parent[key], junk]


def read(path, data):
    """None if the reader refuses it, with a message about the file."""
    path.write_bytes(pickle.dumps(data, protocol=4))
    try:
        return load_annotations(path)
    except ValueError as error:
        assert path.name in str(error)
        return None


def look_at(data):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = examine(data)
        summary = summarise(found)
        mended, fixes = mend(data, found)
        examine(mended)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    console = Console(file=io.StringIO())
    print_report(console, 'a file', found, summary, verbose=True)
    print_fixes(console, 'another', fixes, found.findings)
    text = console.file.getvalue()
    assert all(finding.code in text for finding in found.findings)
    return found, summary, mended


@settings(deadline=None, max_examples=150,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_random_damage(tmp_path, edits):
    data = sound()
    damage(data, edits)
    data = read(tmp_path / 'x.pkl', data)
    if data is not None:
        _, _, mended = look_at(data)
        write_pose_pickle(tmp_path / 'out.pkl', **mended)
        load_annotations(tmp_path / 'out.pkl')


@settings(deadline=None, max_examples=8,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_random_damage_is_drawn(tmp_path, edits):
    data = sound()
    damage(data, edits)
    data = read(tmp_path / 'x.pkl', data)
    if data is not None:
        found = examine(data)
        figure = draw_examination(data['annotations'], found,
                                  summarise(found), 'damaged')
        figure.savefig(tmp_path / 'x.png', dpi=20)


@pytest.mark.parametrize('share', [0, .1, .5, .99])
def test_truncated_files_are_refused(tmp_path, share):
    content = pickle.dumps(sound(), protocol=4)
    path = tmp_path / 'x.pkl'
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(ValueError, match='is empty|cut off'):
        load_annotations(path)
