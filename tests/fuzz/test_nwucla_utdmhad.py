# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import io
import json

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import eye

from skel_ssl.datasets.sources import nwucla, utdmhad
from skel_ssl.datasets.sources.errors import BadFileError

from .common import (
    ARRAYS,
    JSON,
    cuts,
    damaged,
    examples,
    nested,
    outcome,
    write,
)

NWUCLA, UTDMHAD = 'a08_s02_e03_v01.json', 'a1_s2_t3_skeleton.mat'
POSES = np.arange(120.).reshape(2, 20, 3)
SOUND = dict(file_name=NWUCLA[:-5], skeletons=POSES.tolist())


def check(module, path, label):
    clips = outcome(lambda: list(module.read_clip(path)), (BadFileError, ))
    for clip in clips or ():
        keypoint = clip['keypoint']
        assert keypoint.dtype == np.float32
        assert keypoint.shape == (1, clip['total_frames'], 20, 3)
        assert clip['label'] == label and clip['total_frames'] >= 1
        assert sum(map(len, module.make_splits(clips).values()))
    return clips


def mat(compress=False, **content):
    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=compress)
    return buffer.getvalue()


@examples(80)
@given(st.one_of(
    damaged(json.dumps(SOUND).encode()),
    st.fixed_dictionaries({}, optional={
        key: st.one_of(st.just(value), JSON) for key, value in SOUND.items()
    }).map(lambda x: json.dumps(x).encode()),
    JSON.map(lambda x: json.dumps(x).encode())))
@example(nested(100000))
@example(json.dumps(dict(skeletons=[[[10**400] * 3] * 20])).encode())
@example(json.dumps(dict(skeletons=[[[1e300] * 3] * 20])).encode())
@example(json.dumps(dict(skeletons=[])).encode())
@example(b'\xff\xfe{}')
def test_nwucla(tmp_path, content):
    check(nwucla, write(tmp_path / NWUCLA, content), 6)


MAT = mat(d_skel=POSES.transpose(1, 2, 0))


@examples(60)
@given(st.one_of(
    damaged(MAT), damaged(mat(True, d_skel=POSES.transpose(1, 2, 0))),
    ARRAYS.filter(lambda a: a.dtype.kind not in 'O').map(
        lambda a: mat(d_skel=a))))
@example(mat(d_skel=np.zeros((20, 3, 0))))
@example(mat(d_skel=np.full((20, 3, 2), 1e300)))
@example(mat(d_skel=eye(20).tocsc()))
@example(mat(d_skel=dict(a=1)))
@example(mat(other=1))
@example(b'')
@example(b'\x89HDF\r\n\x1a\n' + bytes(500))
def test_utdmhad(tmp_path, content):
    check(utdmhad, write(tmp_path / UTDMHAD, content), 0)


def test_cut_off(tmp_path):
    for content in cuts(json.dumps(SOUND).encode(), 40):
        path = write(tmp_path / NWUCLA, content)
        assert check(nwucla, path, 6) is None
    for content in cuts(MAT, 40):
        check(utdmhad, write(tmp_path / UTDMHAD, content), 0)


STEMS = st.one_of(
    st.from_regex(r'a\d\d_s\d\d_e\d\d_v\d\d\n?', fullmatch=True),
    st.from_regex(r'a\d{1,3}_s\d+_t\d_skeleton', fullmatch=True),
    st.text(st.characters(exclude_characters='/\0', codec='utf-8'),
            min_size=1, max_size=12).filter(lambda n: n not in '..'))


@examples(60)
@given(STEMS.filter(lambda n: len(n) < 80))
@example('a99_s01_e01_v01')
@example('a٠١_s01_e01_v01')
@example('a0_s0_t0_skeleton')
def test_names(tmp_path, stem):
    for module, name, content in ((nwucla, f'{stem}.json', SOUND),
                                  (utdmhad, f'{stem}.mat', None)):
        content = MAT if content is None else json.dumps(
            dict(content, file_name=stem)).encode()
        path = write(tmp_path / name, content)
        clips = outcome(lambda: list(module.read_clip(path)),  # noqa: B023
                        (BadFileError, ))
        for clip in clips or ():
            assert 0 <= clip['label'] < len(module.CLASSES)
        path.unlink()
