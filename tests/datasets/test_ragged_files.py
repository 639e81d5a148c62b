# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The files of a ragged store: shared, replaced, damaged, half-written."""
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from skel_ssl.datasets import (
    PosePreNormalize3D,
    RaggedStore,
    SkeletonDataset,
    write_store,
)
from skel_ssl.datasets.ragged_store import (
    npy_header,
)
from tests.datasets.store_clips import (
    both,
    make_clip,
    make_clips,
    same_bits,
)


def test_a_pipeline_cannot_change_the_store(tmp_path):

    def spoil(results):
        results['keypoint'] *= 0
        results['keypoint'][:] = 5
        return results

    _, path = both(tmp_path, make_clips())
    before = (Path(path) / 'keypoint.npy').read_bytes()
    dataset = SkeletonDataset(path, [spoil])
    clip = dataset.get_data_info(0)
    assert (dataset[0]['keypoint'] == 5).all()
    same_bits(dataset.get_data_info(0), clip)
    store = dataset._store
    with pytest.raises(ValueError, match='read-only'):
        store._map('keypoint')[1][:] = 0
    store.verify()
    assert (Path(path) / 'keypoint.npy').read_bytes() == before


def test_dataset_travels_without_its_data(tmp_path):
    _, path = both(tmp_path, make_clips(26, dtype=np.float64))
    dataset = SkeletonDataset(path, [])
    expected = dataset[5]
    sent = pickle.dumps(dataset)
    assert len(sent) < (Path(path) / 'keypoint.npy').stat().st_size / 10
    same_bits(pickle.loads(sent)[5], expected)
    same_bits(dataset.get_subset([4, 5])[1]['keypoint'], expected['keypoint'])
    lazy = SkeletonDataset(path, [], lazy_init=True, serialize_data=False)
    same_bits(lazy[5], expected)


def resident(path):
    """How many KiB of a file this process has mapped, or skip."""
    maps = Path('/proc/self/smaps')
    if not maps.exists():
        pytest.skip('no /proc/self/smaps on this system')
    found = maps.read_text().split(str(path))[1:]
    assert found, 'the file is not mapped'
    return sum(int(x.split('\nRss:')[1].split()[0]) for x in found)


def test_a_process_keeps_no_page_of_the_store(tmp_path):
    _, path = both(tmp_path, make_clips(26, dtype=np.float64) * 8, all=[])
    array = Path(path).resolve() / 'keypoint.npy'
    assert array.stat().st_size > 2 * 2**21
    dataset = SkeletonDataset(path, [])
    rows = dataset._store._map('keypoint')[1]
    for i in range(len(dataset)):
        dataset[i]
    assert resident(array) == 0
    assert rows[len(rows) // 2].any() and resident(array) > 0


def test_replaced_while_in_use(tmp_path):
    _, path = both(tmp_path, make_clips())
    dataset = SkeletonDataset(path, [])
    shutil.rmtree(path)
    both(tmp_path, make_clips(4))
    with pytest.raises(ValueError, match='was replaced by another one'):
        dataset[0]


@pytest.fixture
def store(tmp_path):
    return Path(both(tmp_path, make_clips())[1])


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def edit(path, **changes):
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **changes)))


@pytest.mark.parametrize('spoil, said', [
    (lambda x: cut(x / 'keypoint.npy', -1), "whole: 'keypoint.npy' has .*AGN"),
    (lambda x: (x / 'keypoint.npy').unlink(), "'keypoint.npy' is missing"),
    (lambda x: cut(x / 'index.pkl', 99), "'index.pkl' has 99 bytes"),
    (lambda x: (x / 'store.json').unlink(), "a whole one: it has no 'store.j"),
    (lambda x: cut(x / 'store.json', 50), "'store.json' .* is damaged: .*AGN"),
    (lambda x: edit(x / 'store.json', format=2), 'has format 2, this .* 1. M'),
    (lambda x: edit(x / 'store.json', kind='y'), 'is of another program'),
    (lambda x: (x / 'store.json').write_text('[]'), 'is of another program'),
    (lambda x: x.joinpath('keypoint.npy').write_bytes(
        npy_header(np.dtype('f4'), (1, 2)) +
        x.joinpath('keypoint.npy').read_bytes()[128:]), 'is mixed up'),
])
def test_unsound_store(store, spoil, said):
    spoil(store)
    with pytest.raises(ValueError, match=said.replace('AGN', 'Copy it again')):
        SkeletonDataset(str(store), [])


def test_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match='make_store.py makes one'):
        SkeletonDataset(str(tmp_path / 'no.store'), [])
    with pytest.raises(ValueError, match='is not a store'):
        SkeletonDataset(str(tmp_path), [])


def test_verify_finds_a_changed_bit(store):
    path = store / 'keypoint.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    opened = RaggedStore(store)
    with pytest.raises(ValueError, match="'keypoint.npy' of .* has changed"):
        opened.verify()


def test_half_written_leaves_nothing(tmp_path):

    def clips():
        yield make_clip('a')
        raise RuntimeError('the disk is on fire')

    with pytest.raises(RuntimeError, match='on fire'):
        write_store(tmp_path / 'x.store', clips(), {})
    assert not list(tmp_path.iterdir())


def test_what_may_be_replaced(store):
    clips = make_clips(3)
    with pytest.raises(ValueError, match='exists; give another name'):
        write_store(store, clips, {})
    write_store(store, clips, {}, overwrite=True)
    assert len(SkeletonDataset(str(store), [])) == 3
    assert [x.name for x in store.parent.glob('*store*')] == ['clips.store']
    (store / 'store.json').unlink()
    with pytest.raises(ValueError, match='not a sound store .*by hand'):
        write_store(store, clips, {}, overwrite=True)
    for name, said in (('x.npy', "ends in '.store'"),
                       ('no/x.store', 'no folder .*/no')):
        with pytest.raises(ValueError, match=said):
            write_store(store.parent / name, clips, {})


def test_same_input_same_bytes(tmp_path):
    folders = [tmp_path / 'one', tmp_path / 'two']
    for folder in folders:
        folder.mkdir()
        both(folder, make_clips(), [PosePreNormalize3D()])
    one, two = (folder / 'clips.store' for folder in folders)
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
