# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The table of one's own recordings, and who trains by it."""
import pytest

from skel_ssl.datasets.sources.natural import natural_key
from skel_ssl.datasets.sources.recording_labels import (
    Row,
    make_splits,
    read_labels,
)


def test_table(tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_text('\ufefflabel, file ,subject\r\n"sit, down",a/x.csv, 3\r\n'
                    '\r\nwalk,./b.csv,4', encoding='utf-8')
    assert read_labels(path) == {
        'a/x.csv': Row('sit, down', '3', None),
        'b.csv': Row('walk', '4', None)
    }


@pytest.mark.parametrize(('text', 'message'), [
    ('', "its first line is '', it must be file,label and"),
    ('x.csv,walk\n', "its first line is 'x.csv,walk', it must be"),
    ('file,label,label\n', 'it must be file,label and'),
    ('file,label,person\n', 'it must be file,label and'),
    ('file,label\n', 'has no rows below its header'),
    ('file,label\nx.csv\n', "line 2: 'x.csv' must say file, label"),
    ('file,label,subject\n\nx.csv,walk,\n', "line 3: 'x.csv,walk,' must say"),
    ('file,label\nx.csv,a\n./x.csv,b\n', "line 3: 'x.csv' is there twice"),
])
def test_faults(tmp_path, text, message):
    path = tmp_path / 'labels.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(path)


def split(rows, seed=0):
    """The splits of a table, whose files are named by numbers."""
    rows = {f'{i:02}.csv': row for i, row in enumerate(rows)}
    clips = [dict(frame_dir=name[:-4], file=name) for name in rows]
    return make_splits(iter(clips), rows, seed)


def test_given_splits():
    """Whatever they are called; subjects do not matter then."""
    rows = [Row('a', '1', name) for name in ('train', 'test', 'train', 'x')]
    assert split(rows) == dict(train=['00', '02'], test=['01'], x=['03'])


def test_every_second_subject():
    """In the order of their numbers: s2 before s10."""
    rows = [Row('a', f's{i}', None) for i in (10, 2, 1, 2, 7)]
    assert split(rows) == dict(train=['02', '04'], val=['00', '01', '03'])
    with pytest.raises(ValueError, match="the only subject is 's1'"):
        split([Row('a', 's1', None)] * 3)


def test_random_quarter_of_each_class():
    rows = [Row('ab'[i % 3 == 0], None, None) for i in range(36)]
    splits = split(rows)
    assert splits == split(rows) != split(rows, seed=1)
    assert sorted(splits['train'] + splits['val']) == [
        f'{i:02}' for i in range(36)]
    labels = [rows[int(name)].label for name in splits['val']]
    assert (labels.count('a'), labels.count('b')) == (6, 3)


def test_natural_order():
    names = ['a10', 'a9b2', 'a9b10', '3', 'b', '', 'a']
    assert sorted(names, key=natural_key) == [
        '', '3', 'a', 'a9b2', 'a9b10', 'a10', 'b']
