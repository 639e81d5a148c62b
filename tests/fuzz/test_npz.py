# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""NumPy files: recordings, inputs of a model, and the npz of CTR-GCN."""
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.apis.inputs import ClipReader, InputError
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.npz import read_clips, write_npz
from skel_ssl.datasets.sources.recordings import read_recording

from . import evil
from .common import ARRAYS, cuts, damaged, examples, outcome, write
from .test_recordings import BODY

KEYPOINT = np.arange(36, dtype='f4').reshape(2, 2, 3, 3)


def npy(array, **kwargs):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **kwargs)
    return buffer.getvalue()


def claiming(shape, descr='<f4', body=b'', version=1):
    """An .npy file whose header says what it likes."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}"
    text = text.encode() + b' ' * (64 - (len(text) + 11) % 64) + b'\n'
    size = struct.pack('<H' if version == 1 else '<I', len(text))
    return b'\x93NUMPY' + bytes([version, 0]) + size + text + body


def archive(method=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', method) as file:
        for name, content in members.items():
            file.writestr(f'{name}.npy', content)
    return buffer.getvalue()


RECORDED = archive(keypoint=npy(KEYPOINT),
                   keypoint_score=npy(KEYPOINT[..., 0]))
CTRGCN = dict(
    x_train=npy(np.ones((2, 3, 18), 'f4')), y_train=npy(np.eye(2)),
    x_test=npy(np.ones((1, 3, 18), 'f4')), y_test=npy([[0., 1.]]))


def check_recording(path):
    found = outcome(lambda: read_recording(path, BODY), (BadFileError, ))
    if found is not None:
        assert found.keypoint.dtype == np.float32
        assert found.keypoint.ndim == 4 and found.keypoint.shape[3] in (2, 3)
        if found.score is not None:
            assert found.score.shape == found.keypoint.shape[:3]


def check_input(path):
    clips = outcome(lambda: list(ClipReader(BODY).read(path)), (InputError, ),
                    naming=path.name)
    for clip in clips or ():
        assert clip['keypoint'].dtype == np.float32
        assert clip['keypoint'].shape[2] == 3
        assert np.isfinite(clip['keypoint']).all()
        assert clip['keypoint'].any((1, 2, 3)).all()
        assert clip['total_frames'] == clip['keypoint'].shape[1]


def check_clips(path):
    clips = outcome(lambda: list(read_clips(path, 3)), naming=path.name)
    for clip in clips or ():
        assert clip['keypoint'].dtype == np.float32
        assert clip['keypoint'].shape[1:] == (clip['total_frames'], 3, 3)
        assert clip['label'] >= 0 and clip['total_frames'] >= 1
    return clips


HEADERS = st.builds(
    claiming,
    st.one_of(
        st.lists(st.sampled_from([0, 1, 2, 3, -1, 10**6, 10**12, 2**63]),
                 max_size=5).map(tuple),
        st.sampled_from(['(1,', '((1,),)', '"a"', '(1.5,)', '(True,)',
                         '(' * 5000, 'a' * 20000])),
    st.sampled_from(['<f4', '>f8', '<f2', '|O', '<U3', '|S0', '<c8', '|V4',
                     '<i8', '|b1', 'x', '', [('a', '<f4')], '<M8[s]',
                     '<f4' * 400, 3]),
    st.binary(max_size=80),
    st.sampled_from([1, 2, 3, 4]))


@examples(60)
@given(st.one_of(HEADERS, damaged(npy(KEYPOINT)), ARRAYS.map(npy)))
@example(b'')
@example(npy(np.array([{}]), allow_pickle=True))
@example(claiming((10**12, 3, 3)))
@example(claiming((10**400, )))
@example(claiming((2**32, 2**32)))
@example(claiming((10**12, 0, 3)))
@example(claiming((-1, 3, 3), body=bytes(36)))
@example(claiming('(' * 300))
@example(RECORDED)
@example(b'PK\x05\x06' + bytes(18))
def test_npy(tmp_path, content):
    path = write(tmp_path / 'x.npy', content)
    check_recording(path)
    check_input(path)


@examples(80)
@given(st.one_of(
    damaged(RECORDED),
    damaged(archive(zipfile.ZIP_DEFLATED, keypoint=npy(KEYPOINT))),
    st.builds(lambda a, b: archive(keypoint=a, keypoint_score=b), HEADERS,
              ARRAYS.map(npy))))
@example(b'PK\x05\x06' + bytes(18))
@example(archive(keypoint=b''))
@example(archive(keypoint=npy(KEYPOINT)).replace(b'\x93NUMPY', b'\x93NUMPZ'))
@example(archive(zipfile.ZIP_LZMA, keypoint=npy(KEYPOINT)))
@example(archive(zipfile.ZIP_BZIP2, keypoint=npy(KEYPOINT))[:120])
@example(archive(keypoint=claiming((10**12, ))))
@example(archive(keypoint=npy(np.array([{}]), allow_pickle=True)))
def test_npz_of_keypoints(tmp_path, content):
    path = write(tmp_path / 'x.npz', content)
    check_recording(path)
    check_input(path)


@examples(60)
@given(damaged(archive(**CTRGCN)))
def test_damaged_protocol(tmp_path, content):
    path = write(tmp_path / 'x.npz', content)
    check_clips(path)
    check_input(path)


MEMBERS = st.one_of(
    HEADERS, ARRAYS.map(npy), st.binary(max_size=20),
    st.sampled_from([*CTRGCN.values(), npy(np.zeros((2, 3, 18))),
                     npy(np.full((2, 3, 18), 1e300)), npy([0, 1]),
                     npy([-1, 5]), npy([2**63])]))


@examples(100)
@given(st.fixed_dictionaries({name: st.one_of(st.just(value), MEMBERS)
                              for name, value in CTRGCN.items()}))
@example(dict(CTRGCN, x_train=npy(np.ones((2, 0, 18), 'f4'))))
@example(dict(CTRGCN, y_train=npy([-1, 0])))
@example(dict(CTRGCN, y_train=npy(np.ones((0, 0)))))
@example(dict(CTRGCN, y_train=claiming((10**13, ), '<i8')))
@example(dict(CTRGCN, x_train=claiming((2, 10**10, 18), body=bytes(99))))
@example(dict(CTRGCN, x_train=claiming((2, 2**31, 2**31 * 9))))
@example(dict(CTRGCN, y_train=npy(np.array([{}]), allow_pickle=True)))
def test_protocol_of_any_members(tmp_path, members):
    check_clips(write(tmp_path / 'x.npz', archive(**members)))


@pytest.mark.parametrize('name', ['x_train', 'y_test'])
def test_a_member_of_another_kind(tmp_path, name):
    members = {key: value for key, value in CTRGCN.items() if key != name}
    path = write(tmp_path / 'x.npz', archive(**members))
    with zipfile.ZipFile(path, 'a') as file:
        file.writestr(f'{name}.txt', 'no array')
    with pytest.raises(ValueError, match=f'x.npz has no {name}'):
        list(read_clips(path, 3))


def test_encrypted_and_strange_members(tmp_path):
    """Flags and methods of which zipfile says that it cannot do them."""
    whole = archive(**CTRGCN)
    for at, value in ((8, 0x01), (6, 0x01), (10, 0x63), (8, 0x63)):
        content = bytearray(whole)
        place = content.index(b'PK\x01\x02')
        while place >= 0:
            content[place + at] = value
            place = content.find(b'PK\x01\x02', place + 4)
        check_clips(write(tmp_path / 'x.npz', bytes(content)))


def test_cut_off(tmp_path):
    for content in cuts(archive(**CTRGCN), 30):
        path = write(tmp_path / 'x.npz', content)
        assert check_clips(path) is None
        check_input(path)
    for content in cuts(npy(KEYPOINT), 30):
        path = write(tmp_path / 'x.npy', content)
        check_input(path)
        with pytest.raises(BadFileError):
            read_recording(path, BODY)


def test_pickled_members_are_not_executed(tmp_path):
    marker = tmp_path / 'marker'
    for call in evil.calls(marker).values():
        try:
            content = npy(np.array([call], object), allow_pickle=True)
        except TypeError:
            continue
        npz = write(tmp_path / 'x.npz', archive(keypoint=content))
        for path in (npz, write(tmp_path / 'x.npy', content)):
            with pytest.raises(BadFileError, match='Python objects'):
                read_recording(path, BODY)
            with pytest.raises(InputError, match='Python objects'):
                list(ClipReader(BODY).read(path))
        write(npz, archive(**dict(CTRGCN, y_train=content)))
        with pytest.raises(ValueError, match='y_train of .*Python objects'):
            list(read_clips(npz, 3))
    assert not marker.exists()


@examples(30)
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 6),
                          st.integers(0, 3)), min_size=2, max_size=6),
       st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(tmp_path, sizes, seed):
    rng = np.random.default_rng(seed)
    clips = [dict(frame_dir=str(i), label=label, total_frames=frames,
                  keypoint=rng.normal(size=(persons, frames, 3, 3)).astype(
                      'f4')) for i, (persons, frames, label)
             in enumerate(sizes)]
    names = [clip['frame_dir'] for clip in clips]
    data = dict(annotations=clips, split=dict(p_train=names[:-1],
                                              p_val=names[-1:]))
    path = tmp_path / 'x.npz'
    write_npz(path, data, 'p', num_frames=6)
    for found, clip in zip(check_clips(path), clips):
        assert found['label'] == clip['label']
        np.testing.assert_array_equal(found['keypoint'], clip['keypoint'])
