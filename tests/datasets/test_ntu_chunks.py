# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Conversion in chunks: the same bytes however it went."""
import errno
import os
import shutil
import signal
from functools import partial

import pytest

from skel_ssl.datasets import SkeletonDataset, load_annotations
from skel_ssl.datasets.sources import chunks
from skel_ssl.datasets.sources.chunks import convert_files
from skel_ssl.datasets.sources.ntu_clip import read_clip
from skel_ssl.datasets.sources.ntu_files import find_files
from skel_ssl.datasets.sources.ntu_splits import make_splits
from tests.datasets.ntu_files import write_files

COUNT, CHUNK = 23, 4
READ = partial(read_clip, cleaning='mmaction2')
SPLIT = partial(make_splits, dataset='ntu60')
SETTINGS = dict(cleaning='mmaction2')


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """Files, of which the third and the last are damaged."""
    folder = tmp_path_factory.mktemp('raw')
    names = sorted(write_files(folder, COUNT, mean=6))
    for name in (names[2], names[-1]):
        path = folder / f'{name}.skeleton'
        path.write_bytes(path.read_bytes()[:-100])
    return folder


@pytest.fixture
def paths(raw, tmp_path):
    folder = tmp_path / 'raw'
    shutil.copytree(raw, folder)  # with the times of the files
    return find_files([folder])


def run(paths, out, convert=READ, settings=SETTINGS, **kwargs):
    kwargs.setdefault('chunk_size', CHUNK)
    return convert_files(convert, paths, out, SPLIT, settings, **kwargs)


@pytest.fixture
def expected(paths, tmp_path):
    """What an undisturbed run writes."""
    out = tmp_path / 'expected.pkl'
    run(paths, out)
    return out.read_bytes()


class Counting:
    """Reads files until it is interrupted."""

    def __init__(self, stop=None):
        self.names, self.stop = [], stop

    def __call__(self, path):
        if len(self.names) == self.stop:
            raise KeyboardInterrupt
        self.names.append(path.name)
        return READ(path)


def die(path):
    """What the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_result(paths, tmp_path):
    out = tmp_path / 'x.pkl'
    done = []
    splits, faults = run(paths, out, advance=done.append)
    assert sum(done) == COUNT
    good = [path for path in paths if path not in (paths[2], paths[-1])]
    assert [name for name, _ in faults] == [paths[2].name, paths[-1].name]
    assert all('must have 12' in why or 'cut off' in why for _, why in faults)
    data = load_annotations(out)
    assert data['source'] == SETTINGS
    assert data['split'] == splits == SPLIT([path.stem for path in good])
    assert len(data['annotations']) == len(good)
    for path, clip in zip(good, data['annotations']):
        alone = READ(path)
        assert clip.pop('keypoint').tobytes() == (
            alone.pop('keypoint').tobytes())
        assert clip == alone
    assert [path.name for path in tmp_path.iterdir() if path != out] == ['raw']


def test_result_is_a_data_set(paths, tmp_path):
    run(paths, tmp_path / 'x.pkl')
    for split in ('xsub_train', 'xview_val'):
        dataset = SkeletonDataset(
            str(tmp_path / 'x.pkl'), [], split=split, require_label=True)
        assert len(dataset) > 3


@pytest.mark.parametrize(('workers', 'chunk_size'), [(2, CHUNK), (1, 1),
                                                     (1, 100)])
def test_same_bytes_however_divided(paths, tmp_path, expected, workers,
                                    chunk_size):
    out = tmp_path / 'x.pkl'
    run(paths, out, workers=workers, chunk_size=chunk_size)
    assert out.read_bytes() == expected


@pytest.mark.parametrize('stop', [0, 3, 4, 17, COUNT - 1])
def test_goes_on_after_an_interruption(paths, tmp_path, expected, stop):
    out = tmp_path / 'x.pkl'
    first, second = Counting(stop), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(paths, out, first)
    assert not out.exists()
    run(paths, out, second)
    assert out.read_bytes() == expected
    assert not out.with_name('x.pkl.parts').exists()
    kept = stop // CHUNK * CHUNK
    assert second.names == [path.name for path in paths[kept:]]


def test_an_old_result_stays_until_the_new_one_is_complete(paths, tmp_path):
    out = tmp_path / 'x.pkl'
    out.write_text('old')
    with pytest.raises(KeyboardInterrupt):
        run(paths, out, Counting(9))
    assert out.read_text() == 'old'


@pytest.mark.parametrize('change', ['settings', 'size', 'time', 'name'])
def test_parts_of_something_else_are_not_used(paths, tmp_path, change):
    out = tmp_path / 'x.pkl'
    with pytest.raises(KeyboardInterrupt):
        run(paths, out, Counting(9))
    settings = SETTINGS
    if change == 'settings':
        settings = dict(cleaning='denoise')
    elif change == 'size':
        paths[0].write_bytes(paths[5].read_bytes())
    elif change == 'time':
        os.utime(paths[0], (1, 1))
    else:
        paths[0] = paths[0].rename(
            paths[0].with_name('S001C001P001R001A060.skeleton'))
    again = Counting()
    run(paths, out, again, settings)
    assert len(again.names) == COUNT
    assert not out.with_name('x.pkl.parts').exists()


def test_no_file_can_be_used(paths, tmp_path):
    splits, faults = run(paths[2:3], tmp_path / 'x.pkl')
    assert [name for name, _ in faults] == [paths[2].name]
    assert not any(splits.values())
    assert [path.name for path in tmp_path.iterdir()] == ['raw']


def test_a_worker_that_dies(paths, tmp_path):
    with pytest.raises(OSError, match='one of the 2 workers was ended .* goes '
                       'on from it'):
        run(paths, tmp_path / 'x.pkl', die, workers=2)
    assert not (tmp_path / 'x.pkl').exists()


def test_a_file_that_cannot_be_read(paths, tmp_path):
    """It is not the file's fault, so it is not left out."""
    paths[7].unlink()
    paths[7].mkdir()
    with pytest.raises(IsADirectoryError, match=paths[7].name):
        run(paths, tmp_path / 'x.pkl')


def test_disk_full(paths, tmp_path, expected, monkeypatch):
    out, write = tmp_path / 'x.pkl', chunks.write_pose_pickle

    def fail(path, *args, **kwargs):
        if path.stem == f'{2 * CHUNK:08d}':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(chunks, 'write_pose_pickle', fail)
        with pytest.raises(OSError, match='No space left .*x.pkl.parts.* goes '
                           'on from it'):
            run(paths, out)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, 'disk_usage',
                      lambda path: usage._replace(free=1000))
        with pytest.raises(OSError, match='0.0 GB free, but about'):
            run(paths, tmp_path / 'y.pkl')
    run(paths, out)
    assert out.read_bytes() == expected
