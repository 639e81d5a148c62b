# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""PKU-MMD on made-up files: cuts, labels, splits and what may be damaged."""
import numpy as np
import pytest

from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.pkummd import (
    CLASSES,
    MAX_FRAMES,
    Action,
    cut_clip,
    find_split_file,
    make_splits,
    read_actions,
    read_frames,
    read_training_videos,
)


def write_rows(path, rows):
    """One line a frame, as in the data set."""
    path.write_text(''.join(
        ' '.join(map(str, row)) + '\n' for row in rows))


def test_frames(tmp_path):
    """Person by person, joint by joint, x y z."""
    path = tmp_path / '0002-L.txt'
    write_rows(path, np.arange(3 * 150).reshape(3, 150) / 8)
    frames = read_frames(path)
    assert frames.shape == (2, 3, 25, 3) and frames.dtype == np.float32
    assert frames[0, 0, 0].tolist() == [0, .125, .25]
    assert frames[1, 0, 0].tolist() == [75 / 8, 76 / 8, 77 / 8]
    assert frames[1, 2, 24].tolist() == [447 / 8, 448 / 8, 449 / 8]
    path.write_bytes(path.read_bytes().replace(b'\n', b'\r\n') + b'\r\n\r\n')
    np.testing.assert_array_equal(read_frames(path), frames)


def test_clips():
    """Rows [start, end), cut at 300 frames, without absent persons."""
    frames = np.zeros((2, 1000, 25, 3), np.float32)
    frames[0] = np.arange(1000)[:, None, None]
    frames[1, 500:] = -1
    clip = cut_clip(frames, Action(1, 7, 100, 150))
    assert clip.shape == (1, 50, 25, 3)
    assert (clip[0, 0, 0, 0], clip[0, -1, 0, 0]) == (100, 149)
    clip = cut_clip(frames, Action(1, 7, 400, 1000))
    assert clip.shape == (2, MAX_FRAMES, 25, 3) and MAX_FRAMES == 300
    assert not clip[1, :100].any() and clip[1, 100:].all()
    assert clip[0, -1, 0, 0] == 699
    assert cut_clip(frames, Action(1, 7, 990, 1005)).shape == (2, 10, 25, 3)
    frames[:, 20:400] = 0
    assert cut_clip(frames, Action(1, 7, 20, 400)) is None
    # those that are seen later than that, too: loaders refuse such clips
    assert cut_clip(frames, Action(1, 7, 20, 420)) is None
    assert cut_clip(frames, Action(1, 7, 19, 400)).shape == (1, 300, 25, 3)


@pytest.mark.parametrize(('action', 'message'), [
    (Action(3, 0, 1, 2), 'line 3 of its labels says class 0: they are 1 to 51'
     ),
    (Action(3, 52, 1, 2), 'says class 52'),
    (Action(3, 1, 5, 5), 'says rows 5 to 5, the video has 40'),
    (Action(3, 1, -2, 5), 'says rows -2 to 5'),
    (Action(3, 1, 40, 45), 'says rows 40 to 45, the video has 40'),
])
def test_lines_that_make_no_sense(action, message):
    with pytest.raises(BadFileError, match=message):
        cut_clip(np.ones((2, 40, 25, 3), np.float32), action)


def test_labels(tmp_path):
    path = tmp_path / '0002-L.txt'
    path.write_text('1,10,20,2\r\n\r\n 51, 30, 45, 1,\n7,50,60')
    assert read_actions(path) == [
        Action(1, 1, 10, 20), Action(3, 51, 30, 45), Action(4, 7, 50, 60)]
    for text in ('1,10\n', 'bow,10,20,2', '1 10 20 2', '1,10,2x,2'):
        path.write_text('1,10,20,2\n' + text)
        with pytest.raises(BadFileError, match='line 2 of its labels is'):
            read_actions(path)
    path.write_bytes(b'\xff\xfe1')
    with pytest.raises(BadFileError, match='line 1 of its labels is'):
        read_actions(path)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda t: '', 'it is empty'),
    (lambda t: t[:-20], 'line 4 of 4 has 14. numbers, not 150'),
    (lambda t: t.replace(' 10.5 ', ' 10.5'), 'line 1 of 4 has 149'),
    (lambda t: t.replace(' 10.5 ', ' 10,5 '), "line 1: .*'10,5'"),
    (lambda t: t.replace(' 160.5 ', ' nan '), 'number 11 of line 2 is nan'),
    (lambda t: t.replace(' 310.5 ', ' inf '), 'number 11 of line 3 is inf'),
    (lambda t: t.replace('\n', '\n\n', 1), 'line 2 of 5 has 0 numbers'),
])
def test_damaged_frames(tmp_path, change, message):
    path = tmp_path / '0002-L.txt'
    write_rows(path, np.arange(600).reshape(4, 150) + .5)
    path.write_text(change(path.read_text()))
    with pytest.raises(BadFileError, match=message):
        read_frames(path)


@pytest.mark.parametrize(('names', 'part', 'found'), [
    (['cross_subject.txt'], 1, 'cross_subject.txt'),
    (['cross-subject.txt', 'cross-view.txt'], 1, 'cross-subject.txt'),
    (['Cross-Subject.txt'], 2, 'Cross-Subject.txt'),
    (['cross_subject.txt', 'cross_subject_v2.txt'], 1, 'cross_subject.txt'),
    (['cross_subject.txt', 'cross_subject_v2.txt'], 2, 'cross_subject_v2.txt'),
    (['cross_subject_v1.txt', 'cross_subject_v2.txt'], 1,
     'cross_subject_v1.txt'),
])
def test_names_of_split_files(tmp_path, names, part, found):
    for name in names:
        (tmp_path / name).write_text('')
    assert find_split_file(tmp_path, 'subject', part).name == found
    with pytest.raises(FileNotFoundError, match='cross_x_v1.txt or cross_x'):
        find_split_file(tmp_path, 'x', 1)
    with pytest.raises(FileNotFoundError):
        find_split_file(tmp_path / 'nowhere', 'subject', 1)


def test_splits(tmp_path):
    path = tmp_path / 'cross_subject.txt'
    path.write_text('Training videos: \n0002-L, 0002-M, A01N01-R, \n'
                    'Validataion videos: \n0003-L\n')
    training = read_training_videos(path)
    assert training == {'0002-L', '0002-M', 'A01N01-R'}
    clips = [dict(frame_dir=f'{video}_{i}', video=video)
             for video in ('0002-L', '0003-L') for i in (1, 2)]
    assert make_splits(clips, dict(xsub=training, xview={'0003-L'})) == dict(
        xsub_train=['0002-L_1', '0002-L_2'],
        xsub_val=['0003-L_1', '0003-L_2'],
        xview_train=['0003-L_1', '0003-L_2'],
        xview_val=['0002-L_1', '0002-L_2'])
    for text in ('', 'Training videos:\n', 'Training videos:\n\n0002-L',
                 'Training videos:\n0002-L 0003-L\n', '0002-L\n0003-L-M\n'):
        path.write_text(text)
        with pytest.raises(ValueError, match='line 2 must list the training'):
            read_training_videos(path)


def test_classes():
    """In the order of the official list; these are for two persons."""
    assert len(CLASSES) == len(set(CLASSES)) == 51
    assert [i for i, name in enumerate(CLASSES, 1) if 'other person' in name
            ] == [12, 16, 18, 21, 24, 26, 27]
