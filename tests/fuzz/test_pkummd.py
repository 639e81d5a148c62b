# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.pkummd import (
    CLASSES,
    MAX_FRAMES,
    check_name,
    cut_clip,
    make_splits,
    read_actions,
    read_frames,
    read_training_videos,
)

from .common import cuts, damaged, examples, outcome, write

ROW = ' '.join(f'{i / 8}' for i in range(150)).encode()
FRAMES = b'\n'.join([ROW] * 4) + b'\n'
LABELS = b'1,0,3,2\n51,1,4,1\n'
SPLIT = b'Training videos:\n0002-L, 0003-R, 0004-M\nValidation\n0005-L\n'


def check_frames(path):
    frames = outcome(lambda: read_frames(path), (BadFileError, ))
    if frames is not None:
        assert frames.dtype == np.float32 and frames.shape[1] >= 1
        assert frames.shape == (2, frames.shape[1], 25, 3)
        assert np.isfinite(frames).all()
    return frames


@examples(80)
@given(damaged(FRAMES))
@example(b'')
@example(b' \n\n')
@example(ROW.replace(b'1.0', b'1_0', 1))
@example(ROW.replace(b'1.0', b'1e300', 1))
@example(ROW.replace(b'1.0', b'nan', 1))
@example(FRAMES.replace(b'\n', b'\r\n'))
@example(FRAMES.replace(b' ', b'\x0b'))
def test_frames(tmp_path, text):
    check_frames(write(tmp_path / 'x.txt', text))


def test_an_underscore_is_no_digit(tmp_path):
    path = write(tmp_path / 'x.txt', ROW.replace(b'1.0', b'1_0', 1))
    assert check_frames(path) is None


NUMBERS = st.one_of(
    st.integers(-2, 60).map(str),
    st.sampled_from(['', ' ', '1.0', '9' * 5000, '99999999999', '-1', '1_0',
                     'a', '٣', '\x00', '2,']))


@examples(80)
@given(st.one_of(
    damaged(LABELS),
    st.lists(st.lists(NUMBERS, max_size=5).map(','.join), max_size=4).map(
        lambda lines: '\n'.join(lines).encode())))
def test_labels(tmp_path, text):
    path = write(tmp_path / 'x.txt', text)
    frames = np.ones((2, 500, 25, 3), 'f4')
    frames[1] = 0
    frames[:, 10:20] = 0
    for action in outcome(lambda: read_actions(path), (BadFileError, )) or ():
        found = outcome(lambda: (cut_clip(frames, action), ),  # noqa: B023
                        (BadFileError, ), naming=f'line {action.line}')
        if found is None:
            continue
        assert 1 <= action.label <= len(CLASSES)
        clip, = found
        if clip is not None:
            assert clip.shape[0] == 1 and clip.any()
            assert 1 <= clip.shape[1] <= MAX_FRAMES


@examples(80)
@given(st.one_of(damaged(SPLIT), st.binary(max_size=40)))
@example(b'\xff\xfe\n0002-L')
@example(SPLIT.replace(b'0003', b'\xff'))
@example(SPLIT.decode().encode('utf-16'))
def test_split_files(tmp_path, text):
    path = write(tmp_path / 'cross_view.txt', text)
    videos = outcome(lambda: read_training_videos(path), naming=path.name)
    for video in videos or ():
        check_name(video)
        splits = make_splits([dict(frame_dir='x', video=video)],
                             dict(view=videos))
        assert splits == dict(view_train=['x'], view_val=[])


def test_cut_off(tmp_path):
    for name, whole, read in (('x.txt', FRAMES, check_frames),
                              ('y.txt', LABELS, None),
                              ('z.txt', SPLIT, None)):
        for text in cuts(whole, 40):
            path = write(tmp_path / name, text)
            if read is not None:
                read(path)
            else:
                outcome(lambda: read_actions(path), (BadFileError, ))  # noqa: B023
                outcome(lambda: read_training_videos(path),  # noqa: B023
                        naming=name)
