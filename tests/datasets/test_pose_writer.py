# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The streaming writer against ``pickle`` itself."""
import pickle
import pickletools
import tracemalloc

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.pose_writer import write_pose_pickle


def clip(i, frames=5):
    rng = np.random.default_rng(i)
    keypoint = rng.normal(size=(1 + i % 2, frames, 25, 3))
    return dict(
        frame_dir=f'clip{i:04}',
        label=i % 7,
        total_frames=frames,
        keypoint=keypoint.astype(np.float32))


def clips(count, frames=5):
    return (clip(i, frames) for i in range(count))


def names(count):
    return [f'clip{i:04}' for i in range(count)]


def assert_same(a, b):
    """Equal in type, order and value."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.flags.f_contiguous == (
            b.flags.f_contiguous)
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize('count', [0, 1, 20])
@pytest.mark.parametrize('load', [load_annotations, None])
def test_equals_an_ordinary_pickle(tmp_path, count, load):
    split = dict(train=names(count)[::2], val=names(count)[1::2], none=[])
    extra = dict(classes=['a', 'é'], source=dict(x=1.5, y=None, z=(1, 2)))
    path = tmp_path / 'x.pkl'
    assert write_pose_pickle(path, clips(count), split, **extra) == count
    whole = dict(split=split, annotations=list(clips(count)), **extra)
    read = load(path) if load else pickle.loads(path.read_bytes())
    assert_same(read, pickle.loads(pickle.dumps(whole)))


def test_every_kind_of_entry(tmp_path):
    shared = np.arange(12.).reshape(3, 4)
    annotation = dict(
        clip(0),
        same=[shared, shared],
        fortran=np.asfortranarray(shared),
        strided=shared[:, ::2],
        half=shared.astype(np.float16),
        number=np.int64(7),
        many=list(range(3000)),
        deep=[[[[{'a': ({1}, b'\x80\x2e', True)}]]]])
    path = tmp_path / 'x.pkl'
    write_pose_pickle(path, [annotation, clip(1)], {})
    expected = pickle.loads(pickle.dumps([annotation, clip(1)]))
    assert_same(load_annotations(path)['annotations'], expected)


def test_is_a_pickle_with_nothing_after_it(tmp_path):
    """One protocol, one end, and no references, so order is no matter."""
    path = tmp_path / 'x.pkl'
    write_pose_pickle(path, clips(3), dict(train=names(3)))
    ops = [op.name for op, _, _ in pickletools.genops(path.read_bytes())]
    assert ops.count('PROTO') == ops.count('STOP') == 1
    assert ops[-1] == 'STOP'
    assert not [op for op in ops if 'PUT' in op or 'GET' in op]


def test_bytes_depend_on_content_alone(tmp_path):
    """Equal text that is one object, or two."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    label = 'clip0000'
    write_pose_pickle(one, [dict(clip(0), a=label, b=label)], {})
    copy = ''.join(['clip', '0000'])
    write_pose_pickle(two, [dict(clip(0), a=copy, b=label)], {})
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(('annotations', 'split', 'message'), [
    ([clip(0), clip(1), clip(0)], {}, "two annotations are called 'clip0000'"),
    ([clip(0), dict(label=1)], {}, "annotation 1 has None for its 'frame_dir'"
     ),
    ([clip(0)], dict(a=['clip0000'], b=['clip0000', 'clip0007', 'x']),
     "2 of the 3 clips in split 'b' .* 1 annotations, the first is 'clip0007'"
     ),
])
def test_faults_leave_the_old_file(tmp_path, annotations, split, message):
    path = tmp_path / 'x.pkl'
    path.write_text('before')
    with pytest.raises(ValueError, match=message):
        write_pose_pickle(path, annotations, split)
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_a_fault_of_the_source_leaves_nothing(tmp_path):
    def broken():
        yield clip(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pose_pickle(tmp_path / 'x.pkl', broken(), {})
    assert not list(tmp_path.iterdir())


def peak(path, count):
    tracemalloc.start()
    write_pose_pickle(path, clips(count, frames=500), {})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_is_that_of_one_clip(tmp_path):
    largest = clip(1, frames=500)['keypoint'].nbytes
    few, many = (peak(tmp_path / 'x', count) for count in (2, 60))
    assert many < few + largest / 2
    assert many < 8 * largest
