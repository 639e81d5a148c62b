# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""CTR-GCN's .npz files: read, written, and there and back again."""
import tracemalloc

import numpy as np
import pytest

from skel_ssl.datasets.sources.npz import make_splits, read_clips, write_npz

PERSONS, JOINTS = 2, 25


def make_arrays(num=(5, 3), frames=30, classes=7, seed=0):
    """Arrays as NumPy writes them; lengths, persons and labels differ."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, count in zip(('train', 'test'), num):
        x = rng.normal(size=(count, frames, PERSONS, JOINTS, 3))
        for i in range(count):
            x[i, rng.integers(1, frames + 1):] = 0
            if i % 2:
                x[i, :, 1] = 0
        labels = rng.integers(0, classes, count)
        arrays[f'x_{part}'] = x.reshape(count, frames, -1).astype(np.float32)
        arrays[f'y_{part}'] = np.eye(classes)[labels]
    return arrays


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('dtype', [np.float32, np.float64, '>f4'])
def test_read(tmp_path, save, dtype):
    """Every value is where it was; what is absent is gone."""
    path = tmp_path / 'NTU60_CS.npz'
    arrays = make_arrays()
    for part in ('train', 'test'):
        arrays[f'x_{part}'] = arrays[f'x_{part}'].astype(dtype)
    save(path, **arrays)
    clips = list(read_clips(path, JOINTS))
    assert [clip['frame_dir'] for clip in clips] == [
        *(f'train_{i:06}' for i in range(5)),
        *(f'test_{i:06}' for i in range(3))]
    for clip in clips:
        part, i = clip['frame_dir'].split('_')
        row = arrays[f'x_{part}'][int(i)].reshape(30, PERSONS, JOINTS, 3)
        keypoint = clip['keypoint']
        persons, frames = keypoint.shape[:2]
        assert keypoint.dtype == np.float32 and keypoint.dtype.isnative
        assert frames == clip['total_frames']
        assert persons == 2 - int(i) % 2
        np.testing.assert_array_equal(keypoint.swapaxes(0, 1),
                                      row[:frames, :persons])
        assert not row[frames:].any() and not row[:, persons:].any()
        assert keypoint[:, -1].any()
        assert arrays[f'y_{part}'][int(i), clip['label']] == 1
        assert isinstance(clip['label'], int)
    splits = make_splits(iter(clips), 'xsub')
    assert splits == dict(
        xsub_train=[clip['frame_dir'] for clip in clips[:5]],
        xsub_val=[clip['frame_dir'] for clip in clips[5:]])


def test_frames_without_anybody(tmp_path):
    """Kept before the end, and of a clip of nothing else one is left."""
    arrays = make_arrays()
    arrays['x_train'][0] = 0
    arrays['x_train'][0, 4, 3] = 1
    arrays['x_train'][2] = 0
    np.savez(tmp_path / 'x.npz', **arrays)
    clips = list(read_clips(tmp_path / 'x.npz', JOINTS))
    assert clips[0]['keypoint'].shape == (1, 5, 25, 3)
    assert clips[2]['keypoint'].shape == (1, 1, 25, 3)
    assert not clips[2]['keypoint'].any()


def as_data(clips):
    return dict(
        annotations=clips, split=make_splits(iter(clips), 'xsub'))


def test_there_and_back(tmp_path):
    """As NumPy reads it, array for array."""
    one, two = tmp_path / 'one.npz', tmp_path / 'two.npz'
    arrays = make_arrays()
    arrays['y_test'][:] = np.eye(7)[6]  # or the seventh class is not known
    np.savez(one, **arrays)
    clips = list(read_clips(one, JOINTS))
    counts = write_npz(two, as_data(clips), 'xsub', num_frames=30)
    assert counts == dict(train=5, test=3, cut=0)
    with np.load(two) as back:
        assert set(back) == set(arrays)
        for name, array in arrays.items():
            assert back[name].dtype == array.dtype
            np.testing.assert_array_equal(back[name], array)
    again = list(read_clips(two, JOINTS))
    for clip, same in zip(clips, again):
        np.testing.assert_array_equal(clip.pop('keypoint'),
                                      same.pop('keypoint'))
        assert clip == same


def test_write_cuts_and_fills_up(tmp_path):
    path = tmp_path / 'x.npz'
    rng = np.random.default_rng(0)
    clips = [
        dict(frame_dir=name, label=label, total_frames=frames,
             keypoint=rng.normal(size=(persons, frames, 20, 3)))
        for name, label, frames, persons in (('a', 0, 9, 1), ('b', 3, 4, 2),
                                             ('c', 1, 1, 1), ('d', 1, 5, 1))
    ]
    data = dict(annotations=clips, classes=list('vwxyz'),
                split=dict(p_train=['b', 'a'], p_val=['c'], q_train=['d']))
    counts = write_npz(path, data, 'p', num_frames=6, num_persons=3)
    assert counts == dict(train=2, test=1, cut=1)
    with np.load(path) as back:
        assert back['x_train'].shape == (2, 6, 180)
        assert back['y_train'].tolist() == np.eye(5)[[3, 0]].tolist()
        assert back['y_test'].tolist() == np.eye(5)[[1]].tolist()
        x = back['x_train'].reshape(2, 6, 3, 20, 3)
    np.testing.assert_array_equal(
        x[1, :, 0], clips[0]['keypoint'][0, :6].astype(np.float32))
    np.testing.assert_array_equal(
        x[0, :4, :2], clips[1]['keypoint'].swapaxes(0, 1).astype(np.float32))
    assert not x[0, 4:].any() and not x[:, :, 2].any()


def test_labels_as_numbers(tmp_path):
    arrays = make_arrays()
    expected = arrays['y_train'].argmax(1)
    arrays['y_train'] = expected
    np.savez(tmp_path / 'x.npz', **arrays)
    clips = list(read_clips(tmp_path / 'x.npz', JOINTS))
    assert [clip['label'] for clip in clips[:5]] == expected.tolist()


def without(name):
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


def with_(name, change):
    return lambda arrays: dict(arrays, **{name: change(arrays[name])})


@pytest.mark.parametrize(('change', 'message'), [
    (without('x_test'), r"has no x_test, only \['x_train', 'y_train'"),
    (without('y_train'), 'has no y_train'),
    (with_('x_train', lambda x: x[:, :, :149]),
     r'shape \(5, 30, 149\), not .*--layout'),
    (with_('x_train', lambda x: x[0]), r'shape \(30, 150\), not'),
    (with_('x_test', lambda x: x[1:]), 'has 2 clips, but there are 3 labels'),
    (with_('x_train', lambda x: x.astype(int)), 'is of type int64'),
    (with_('x_train', np.asfortranarray), 'in Fortran order'),
    (with_('y_train', lambda y: y * 0), 'y_train .* must be one-hot'),
    (with_('y_train', lambda y: y * .5), 'y_train .* must be one-hot'),
    (with_('y_train', lambda y: y.argmax(1) + .5), 'y_train .* and type fl'),
])
def test_other_files(tmp_path, change, message):
    path = tmp_path / 'x.npz'
    np.savez(path, **change(make_arrays()))
    with pytest.raises(ValueError, match=message):
        list(read_clips(path, JOINTS))


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_damaged_files(tmp_path, save):
    """Cut off, or other bytes in the midst of it: it is said."""
    path = tmp_path / 'x.npz'
    save(path, **make_arrays())
    whole = path.read_bytes()
    middle = len(whole) // 3
    for content in (b'', b'<html>', whole[:middle], whole[:-10],
                    whole[:middle] + b'changed' + whole[middle + 7:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='is not an .npz file, or dam'):
            list(read_clips(path, JOINTS))


@pytest.mark.parametrize(('protocol', 'change', 'message'), [
    ('xview', {}, "no split 'xview_train' with clips in it; it has"),
    ('xsub', dict(label=None), "clip 'train_000001' has no label"),
    ('xsub', dict(keypoint=np.ones((3, 4, 25, 3))),
     r"clip 'train_000001' has shape \(3, 4, 25, 3\), not \(at most 2"),
    ('xsub', dict(keypoint=np.ones((1, 4, 20, 3))), '25 joints, 3'),
    ('xsub', dict(keypoint=np.ones((1, 4, 25, 2))), '25 joints, 3'),
])
def test_what_cannot_be_written(tmp_path, protocol, change, message):
    np.savez(tmp_path / 'x.npz', **make_arrays())
    clips = list(read_clips(tmp_path / 'x.npz', JOINTS))
    clips[1].update(change)
    if clips[1]['label'] is None:
        del clips[1]['label']
    out = tmp_path / 'y.npz'
    out.write_text('before')
    with pytest.raises(ValueError, match=message):
        write_npz(out, as_data(clips), protocol)
    assert out.read_text() == 'before'
    assert len(list(tmp_path.iterdir())) == 2


def peak(path):
    tracemalloc.start()
    for _ in read_clips(path, JOINTS):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_is_that_of_one_clip(tmp_path):
    few, many = tmp_path / 'few.npz', tmp_path / 'many.npz'
    np.savez(few, **make_arrays((2, 2), frames=100))
    np.savez(many, **make_arrays((40, 40), frames=100))
    assert peak(many) < peak(few) + 100 * 150 * 4
