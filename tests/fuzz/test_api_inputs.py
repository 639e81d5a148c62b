# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Whatever is given to the inferencer: values, files, names of classes."""
import pickle

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mmengine.config import Config

from skel_ssl.apis.class_names import find_class_names, read_class_names
from skel_ssl.apis.inputs import ClipReader, InputError
from skel_ssl.datasets.layouts import COCO17, NTU25

from .common import ARRAYS, JUNK, damaged, examples, outcome, write

READERS = st.builds(
    ClipReader, st.sampled_from([None, NTU25, COCO17]),
    st.sampled_from([None, 2, 3]), st.sampled_from([None, 1, 2]))
ERRORS = (InputError, FileNotFoundError)


def check(reader, inputs, naming='input'):
    """Clips that are fit for a model, or one refusal that says of what."""
    clips = outcome(lambda: list(reader.read(inputs)), ERRORS, naming=naming)
    for clip in clips or ():
        keypoint = clip['keypoint']
        assert keypoint.dtype == np.float32 and keypoint.ndim == 4
        assert np.isfinite(keypoint).all() and keypoint.size
        assert keypoint.any((1, 2, 3)).all()
        assert clip['total_frames'] == keypoint.shape[1]
        assert isinstance(clip['frame_dir'], str)
        assert reader.coordinates in (None, keypoint.shape[3])
        assert reader.max_persons is None or (
            len(keypoint) <= reader.max_persons)
        if reader.layout is not None:
            assert keypoint.shape[2] == reader.layout.num_joints
        if 'keypoint_score' in clip:
            assert clip['keypoint_score'].shape == keypoint.shape[:3]
            assert clip['keypoint_score'].dtype == np.float32
    return clips


SOUND = st.builds(
    lambda shape, kind, value: np.full(shape, value).astype(kind),
    st.tuples(st.integers(0, 3), st.integers(0, 3),
              st.sampled_from([0, 17, 25]), st.integers(1, 3)),
    st.sampled_from(['f2', 'f4', 'f8', '>f8', 'i4', 'u1', 'g']),
    st.sampled_from([0, 1, -7, 1e38, np.nan, np.inf, 1e300]))
VALUES = st.one_of(
    SOUND, ARRAYS, SOUND.map(lambda a: a[0] if len(a) else a),
    SOUND.map(lambda a: a.tolist()), JUNK,
    st.sampled_from([torch.ones(2, 3, 25, 3), torch.ones(25, 3).bfloat16(),
                     torch.ones(3, 25, 3, requires_grad=True),
                     torch.eye(3).to_sparse(), torch.ones(3, dtype=bool),
                     torch.empty(2, 25, 3, device='meta')]))
ANNOTATIONS = st.dictionaries(
    st.sampled_from(['keypoint', 'keypoint_score', 'frame_dir', 'filename',
                     'total_frames', 'label', 'img_shape', 'annotations', 1]),
    VALUES, max_size=5)
INPUTS = st.one_of(
    VALUES.filter(lambda x: not isinstance(x, (str, bytes))), ANNOTATIONS,
    st.builds(lambda x: dict(keypoint=x), SOUND),
    st.builds(lambda x: dict(annotations=x),
              st.lists(ANNOTATIONS, max_size=3)),
    st.lists(st.one_of(SOUND, ANNOTATIONS, JUNK.filter(
        lambda x: not isinstance(x, str))), max_size=3))


@examples(300)
@given(READERS, INPUTS)
@example(ClipReader(), dict(annotations=5))
@example(ClipReader(), dict(annotations=[5]))
@example(ClipReader(), dict(annotations='keypoint'))
@example(ClipReader(), dict(keypoint=np.ones((1, 2, 3, 3)), total_frames=[2]))
@example(ClipReader(), dict(keypoint=np.ones((1, 2, 3, 3)),
                            total_frames=np.array([2, 2])))
@example(ClipReader(), dict(keypoint=np.ones((1, 2, 3, 2)),
                            keypoint_score=[[1], [1, 2]]))
@example(ClipReader(), dict(keypoint=np.ones((1, 2, 3, 2)),
                            keypoint_score=np.full((1, 2, 3), 1e300)))
@example(ClipReader(), [[1], [1, 2]])
@example(ClipReader(), torch.ones(25, 3).bfloat16())
@example(ClipReader(), torch.empty(2, 25, 3, device='meta'))
@example(ClipReader(), torch.eye(3).to_sparse())
@example(ClipReader(), 5)
@example(ClipReader(), None)
@example(ClipReader(), b'x')
def test_values(reader, inputs):
    check(reader, inputs)


@examples(100)
@given(READERS, st.one_of(ANNOTATIONS, st.lists(ANNOTATIONS, max_size=3),
                          VALUES.filter(lambda x: not torch.is_tensor(x)),
                          st.builds(lambda x: dict(split={}, annotations=x),
                                    st.lists(ANNOTATIONS, max_size=3))))
def test_pickles_of_any_content(tmp_path, reader, content):
    try:
        whole = pickle.dumps(content)
    except NotImplementedError:
        return  # a tensor of no device
    check(reader, write(tmp_path / 'x.pkl', whole), naming='x.pkl')


def test_lists_in_lists_are_not_unfolded(tmp_path):
    """A file of a few bytes that says 10**40 numbers."""
    laughs = [0.]
    for _ in range(40):
        laughs = [laughs] * 10
    path = write(tmp_path / 'x.pkl', pickle.dumps(dict(keypoint=laughs)))
    assert check(ClipReader(), path, 'x.pkl') is None


@examples(100)
@given(st.text(max_size=20))
@example('~nobody_of_this_name/x.npy')
@example('\0.npy')
@example('x\ud800.npy')
@example('x.store')
@example('')
@example('.')
def test_paths(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    check(ClipReader(), path)


@examples(60)
@given(st.one_of(damaged(b'wave\nclap\n', 3), st.binary(max_size=9)))
@example(b'\xff\xfe')
@example(b'\xef\xbb\xbfwave')
@example(b'\n \n')
def test_class_names(tmp_path, content):
    path = write(tmp_path / 'classes.txt', content)
    names = outcome(lambda: read_class_names(path), naming='classes.txt')
    assert names is None or all(name == name.strip() != '' for name in names)


@examples(100)
@given(st.one_of(JUNK, st.dictionaries(
    st.just('dataset_meta'), st.one_of(JUNK, st.dictionaries(
        st.just('classes'), JUNK)))).filter(lambda x: isinstance(x, dict)))
@example(dict(dataset_meta=dict(classes=5)))
@example(dict(dataset_meta=dict(classes='/etc/passwd')))
@example(dict(dataset_meta=dict(classes=np.array(5))))
def test_class_names_of_a_checkpoint(meta):
    names = find_class_names(Config(dict(model=dict())), meta)
    assert names is None or all(isinstance(name, str) for name in names)


def test_a_text_of_a_checkpoint_is_no_path(tmp_path):
    path = write(tmp_path / 'secret', b'text')
    meta = dict(dataset_meta=dict(classes=str(path)))
    assert find_class_names(Config(dict(model=dict())), meta) is None


@pytest.mark.parametrize('suffix', ['.npy', '.npz', '.pkl', '.pickle', '.json',
                                    '.csv', '.skeleton', '.NPY'])
def test_any_bytes_in_any_file(tmp_path, suffix):
    @examples(25)
    @given(READERS, st.binary(max_size=60))
    @example(ClipReader(NTU25), b'')
    def read(reader, content):
        check(reader, write(tmp_path / f'x{suffix}', content), f'x{suffix}')

    read()
