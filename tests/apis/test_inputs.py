# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What people have becomes clips, or one clear error."""
import json
import os
import pickle
import re
import warnings

import numpy as np
import pytest
import torch

from skel_ssl.apis import ClipReader, InputError
from skel_ssl.apis.input_files import READERS
from skel_ssl.apis.inputs import seen_persons
from skel_ssl.datasets.layouts import COCO17, KINECT20, NTU25
from skel_ssl.datasets.sources.ntu_persons import select_persons
from skel_ssl.datasets.sources.ntu_skeleton import parse_skeleton
from tests.apis.tiny_models import make_clip
from tests.datasets.coco_clips import coco_clip
from tests.datasets.ntu_files import Track, standing, write_text
from tests.datasets.recording_files import write_csv

NTU = ClipReader(NTU25, 3)
KEYPOINT = make_clip(0, 2, 6)


def read(inputs, reader=NTU):
    return list(reader.read(inputs))


def read_one(inputs, reader=NTU):
    (clip, ) = read(inputs, reader)
    return clip


def same(clip, keypoint):
    assert clip['keypoint'].dtype == np.float32
    assert clip['total_frames'] == keypoint.shape[1]
    np.testing.assert_array_equal(clip['keypoint'], keypoint)
    return True


class TestArrays:

    def test_shapes(self):
        assert same(read_one(KEYPOINT), KEYPOINT)
        assert same(read_one(KEYPOINT[0]), KEYPOINT[:1])
        assert same(read_one(KEYPOINT[0, 0]), KEYPOINT[:1, :1])
        assert same(read_one(torch.tensor(KEYPOINT)), KEYPOINT)
        assert same(read_one(KEYPOINT.astype(np.float64)), KEYPOINT)

    def test_millimetres(self):
        reader = ClipReader(NTU25, 3, scale=.001)
        given = (1000 * KEYPOINT.astype(np.float64)).round()
        before = given.copy()
        found = read_one(given, reader)['keypoint']
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, before / 1000, rtol=1e-6)
        np.testing.assert_array_equal(given, before)
        for scale in (0, -1., float('nan')):
            with pytest.raises(ValueError, match=f'scale={scale}'):
                ClipReader(NTU25, 3, scale=scale)

    def test_lists_keep_their_order(self):
        first, second = read([KEYPOINT[:1], dict(keypoint=KEYPOINT)])
        assert same(first, KEYPOINT[:1]) and same(second, KEYPOINT)
        assert [first['input'], second['input']] == ['input 0', 'input 1']

    def test_annotations(self):
        annotation = dict(frame_dir='walk', label=3, keypoint=KEYPOINT,
                          total_frames=6, img_shape=(4, 5))
        clip = read_one(annotation)
        assert same(clip, KEYPOINT)
        assert clip['frame_dir'] == 'walk'
        assert clip['input'] == 'input 0: walk'
        assert clip['label'] == 3 and clip['img_shape'] == (4, 5)
        data = dict(split={}, annotations=[annotation, annotation])
        assert len(read([data, annotation])) == 3

    def test_absent_persons_are_left_out(self):
        clip = KEYPOINT.copy()
        clip[0] = 0
        assert same(read_one(clip), clip[1:])
        four = np.concatenate([clip, np.zeros_like(clip)])
        assert same(read_one(four), clip[1:])
        assert four.shape[0] == 4  # not changed

    def test_scores(self):
        found = coco_clip('a', 'absent')
        clip = read_one(found, ClipReader(COCO17, 2, None))
        assert clip['keypoint_score'].dtype == np.float32
        np.testing.assert_array_equal(
            clip['keypoint_score'],
            found['keypoint_score'].astype(np.float32))
        frame = dict(
            keypoint=found['keypoint'][0, 0],
            keypoint_score=found['keypoint_score'][0, 0])
        clip = read_one(frame, ClipReader(COCO17, 2))
        assert clip['keypoint_score'].shape == (1, 1, 17)
        scored = dict(keypoint=KEYPOINT, keypoint_score=np.ones((2, 6, 25)))
        assert 'keypoint_score' not in read_one(scored)

    def test_any_body(self):
        clip = make_clip(0, joints=7, coordinates=2)
        assert same(read_one(clip, ClipReader()), clip)


def spoil(value, at=(1, 3, 7, 2)):
    clip = KEYPOINT.copy()
    clip[at] = value
    return clip


@pytest.mark.parametrize('bad, message', [
    (spoil(np.nan), 'nan at person 1, frame 3, joint 7.*Fill the gap'),
    (spoil(np.inf), 'inf at person 1, frame 3, joint 7'),
    (make_clip(0, joints=17, coordinates=2),
     r"17 joints .*takes 25, layout 'ntu25'.*'coco17' or 'coco': use a model"),
    (make_clip(0, joints=20), "'kinect20'"),
    (make_clip(0, joints=11), '11 joints.*no preset.*order of the axes'),
    (KEYPOINT[..., :2], '2 coordinates.*takes 3: give it 3D'),
    (np.zeros((1, 5, 25, 3)), 'holds nobody.*zero. Leave it out'),
    (KEYPOINT[:0], r'empty, 0 persons: its shape is \(0, 6, 25, 3\)'),
    (KEYPOINT[:, :0], 'empty, 0 frames'),
    (np.zeros(5), r'its shape is \(5,\); it must be \(persons, frames'),
    (make_clip(0, 3), '3 persons.*takes 2 at most'),
    (np.array([['a', 'b']]), 'no numbers'),
    (np.array([None]), 'no numbers'),
    (dict(split={}, annotations=[]), 'holds no clips'),
    (dict(keypoints=KEYPOINT), "no 'keypoint', only.*'keypoints'"),
    (dict(keypoint=KEYPOINT, total_frames=5), "'total_frames' is 5.*6 frames"),
    ([1., 2.], 'a list is no input.*np.array'),
    (None, 'NoneType is no input'),
])
def test_one_clear_error(bad, message):
    with pytest.raises(InputError, match='^input 1.*' + message):
        read([KEYPOINT, bad])


def test_numbers_beyond_float32():
    clip = KEYPOINT.astype(np.float64)
    clip[0, 0, 0, 0] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # one error, and no warning beside it
        for given, scale in ((clip, 1.), (KEYPOINT, 1e300)):
            with pytest.raises(InputError, match='beyond those of float32'):
                read(given, ClipReader(NTU25, 3, scale=scale))


def test_who_has_no_score_is_not_there():
    found = coco_clip('a', persons=3)
    found['keypoint_score'][1:, :] = 0
    found['keypoint_score'][2, 3, 5] = .5
    clip = read_one(found, ClipReader(COCO17, 2, 2))
    np.testing.assert_array_equal(clip['keypoint'], found['keypoint'][[0, 2]])
    assert seen_persons(clip).tolist() == [True, True]
    assert seen_persons(clip, slice(4, 9)).tolist() == [True, False]
    with pytest.raises(InputError, match='shows nobody: no joint has a sco'):
        read(coco_clip('b', 'unseen'), ClipReader(COCO17, 2))


def test_how_large_the_images_are(tmp_path):
    own = coco_clip('a')
    bare = {key: own[key] for key in ('keypoint', 'keypoint_score')}
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        read([own, bare], ClipReader(COCO17, 2))  # it does not matter
        told = ClipReader(COCO17, 2, img_shape=(480, 640),
                          assumed_img_shape=(1080, 1920))
        shapes = [clip['img_shape'] for clip in read([own, bare], told)]
        assert shapes == [(1080, 1920), (480, 640)]
    unsaid = ClipReader(COCO17, 2, assumed_img_shape=(1080, 1920))
    with pytest.warns(UserWarning, match='are taken for 1920 x 1080 pixels'):
        clips = read([own, bare], unsaid)
    assert 'img_shape' not in clips[1]  # left to the pipeline
    with pytest.raises(ValueError, match='has no PreNormalize2D'):
        ClipReader(NTU25, 3, img_shape=(480, 640))


def test_scores_that_do_not_fit():
    found = coco_clip('walk')
    reader = ClipReader(COCO17, 2)
    with pytest.raises(InputError, match="input 0, clip 'walk'.*score.*shape"):
        read(dict(found, keypoint_score=np.ones((2, 3, 17))), reader)
    with_scores = np.concatenate(
        [found['keypoint'], found['keypoint_score'][..., None]], -1)
    with pytest.raises(InputError, match=r'takes 2: if the third is a score'):
        read(with_scores, reader)


@pytest.mark.parametrize('nothing', [[], (), iter([])])
def test_no_input(nothing):
    with pytest.raises(InputError, match='list of inputs is empty'):
        read(nothing)


# ---------------------------------------------------------------------- files


def test_bad_inputs_are_left_out(tmp_path):
    """A clip of a file, a file that is none, an array, a file cut short."""
    kinds = dict(
        a=pickle.dumps([dict(frame_dir=f'c{i}', keypoint=KEYPOINT * factor)
                        for i, factor in enumerate((1, np.nan, 1))]),
        b=b'no pickle')
    for name, content in kinds.items():
        (tmp_path / f'{name}.pkl').write_bytes(content)
    write_mamp(tmp_path / 'NTU60_CS.npz')
    whole = (tmp_path / 'NTU60_CS.npz').read_bytes()
    (tmp_path / 'c.npz').write_bytes(whole[:len(whole) // 2])
    inputs = [*(tmp_path / name for name in ('a.pkl', 'b.pkl', 'c.npz')),
              KEYPOINT[..., :9, :], KEYPOINT]
    bad, totals = [], []
    clips = list(NTU.read(inputs, totals.append, bad.append))
    assert [clip['frame_dir'] for clip in clips] == ['c0', 'c2', 'input 4']
    assert all(isinstance(error, InputError) for error in bad)
    for error, words in zip(bad, (
            r"input 0 .*a.pkl\), clip 'c1': .*nan at person 0",
            r'input 1 .*b.pkl', r'input 2 .*c.npz', 'input 3: it has 9')):
        assert re.search(words, str(error))
    assert len(bad) == 4 and totals[-1] == len(clips)
    # The first one ends it otherwise.
    reading = NTU.read(inputs)
    assert next(reading)['frame_dir'] == 'c0'
    with pytest.raises(InputError, match="clip 'c1'"):
        next(reading)


def test_all_inputs_are_bad():
    bad = []
    with pytest.raises(InputError, match='no input can be used; the first: '
                       'input 0: it has 9 joints'):
        list(NTU.read([KEYPOINT[..., :9, :], KEYPOINT * np.nan],
                      on_bad=bad.append))
    assert len(bad) == 2


def write_skeleton(path):
    joints = standing(6, np.random.default_rng(0))
    path.write_bytes(write_text(6, [Track(7, range(6), joints)]))


def write_mamp(path):
    x = np.zeros((2, 9, 150), np.float32)
    x[:, :6, :75] = KEYPOINT[0].reshape(6, 75)
    np.savez(path, x_train=x, y_train=np.eye(2), x_test=x[:1],
             y_test=np.eye(2)[:1])


class TestFiles:

    def test_npy(self, tmp_path):
        for i, part in enumerate((KEYPOINT, KEYPOINT[0], KEYPOINT[0, 0])):
            path = tmp_path / f'walk{i}.npy'
            np.save(path, part)
            clip = read_one(path)
            assert same(clip, part[(None, ) * (4 - part.ndim)])
        assert clip['frame_dir'] == 'walk2'
        assert clip['input'] == str(path)

    def test_npz(self, tmp_path):
        path = tmp_path / 'a.npz'
        np.savez(path, keypoint=KEYPOINT)
        assert same(read_one(str(path)), KEYPOINT)
        np.savez(path, points=KEYPOINT)
        with pytest.raises(InputError, match=r"a.npz\): it has \['points'\]"):
            read(path)

    def test_npz_of_mamp(self, tmp_path):
        write_mamp(tmp_path / 'NTU60_CS.npz')
        totals = []
        clips = list(NTU.read(tmp_path / 'NTU60_CS.npz', totals.append))
        assert [clip['frame_dir'] for clip in clips] == [
            'train_000000', 'train_000001', 'test_000000']
        assert [clip['label'] for clip in clips] == [0, 1, 0]
        assert all(same(clip, KEYPOINT[:1]) for clip in clips)
        assert totals == [1, None]

    def test_pickles(self, tmp_path):
        path = tmp_path / 'a.pkl'
        one = dict(frame_dir='x', keypoint=KEYPOINT)
        for content, count in ((one, 1), ([one, one], 2), (KEYPOINT, 1), (dict(
                split={}, annotations=[one] * 3), 3)):
            path.write_bytes(pickle.dumps(content))
            totals = []
            clips = list(NTU.read(path, totals.append))
            assert [same(clip, KEYPOINT) for clip in clips] == [True] * count
            assert totals[-1] == count
        assert clips[0]['input'] == f'{path}: x'

    @pytest.mark.parametrize('content, message', [
        ([], 'holds no clips'),
        (dict(x=1), 'no pose pickle'),
        ([1], 'no pose pickle'),
        (os.system, 'asks for posix.system|nt.system'),
    ])
    def test_pickles_that_are_none(self, tmp_path, content, message):
        path = tmp_path / 'a.pkl'
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=message):
            read(path)

    def test_recordings(self, tmp_path):
        write_csv(tmp_path / 'a.csv', NTU25.joints, KEYPOINT)
        (tmp_path / 'b.json').write_text(
            json.dumps(dict(frames=KEYPOINT[0].tolist())))
        first, second = read([tmp_path / 'a.csv', tmp_path / 'b.json'])
        assert same(first, KEYPOINT) and same(second, KEYPOINT[:1])
        with pytest.raises(InputError, match="not those of layout 'kinect20'"):
            read(tmp_path / 'a.csv', ClipReader(KINECT20, 3))
        with pytest.raises(InputError, match='layout must be known'):
            read(tmp_path / 'a.csv', ClipReader())

    def test_skeleton(self, tmp_path):
        named = tmp_path / 'S001C001P001R001A007.skeleton'
        write_skeleton(named)
        expected = select_persons(parse_skeleton(named.read_bytes()))
        clip = read_one(named)
        assert same(clip, expected) and clip['label'] == 6
        other = named.rename(tmp_path / 'mine.skeleton')
        assert 'label' not in read_one(other)

    def test_folder(self, tmp_path):
        (tmp_path / 'sub').mkdir()
        for name in ('s10.npy', 's2.npy', 'sub/a.npy'):
            np.save(tmp_path / name, KEYPOINT)
        (tmp_path / 'notes.txt').write_text('x')
        names = [clip['frame_dir'] for clip in read(tmp_path)]
        assert names == ['s2', 's10', 'a']
        assert len(read([tmp_path, tmp_path / 's2.npy'])) == 4
        empty = tmp_path / 'empty'
        empty.mkdir()
        with pytest.raises(InputError, match='empty is no file.*.npy, .npz'):
            read(empty)

    def test_every_kind_is_tested(self):
        assert set(READERS) == {'.npy', '.npz', '.pkl', '.pickle', '.json',
                                '.csv', '.skeleton'}

    @pytest.mark.parametrize('suffix', sorted(READERS))
    def test_rubbish(self, tmp_path, suffix):
        path = tmp_path / f'rubbish{suffix}'
        for content in (b'', b'\x93NUMPY', b'PK\x03\x04', b'\x80\x04', b'{}',
                        b'\xff\xfe'):
            path.write_bytes(content)
            with pytest.raises(InputError, match=r'^input 0 \(.*rubbish'):
                read(path)

    def test_what_is_not_read(self, tmp_path):
        (tmp_path / 'a.txt').write_text('x')
        with pytest.raises(InputError, match="'.txt' files are not read"):
            read(tmp_path / 'a.txt')
        with pytest.raises(FileNotFoundError, match="input 0.*'gone.npy'"):
            read('gone.npy')
        with pytest.raises(InputError, match='ragged store'):
            read(tmp_path / 'a.store')

    def test_a_bad_clip_of_many_is_named(self, tmp_path):
        path = tmp_path / 'a.pkl'
        path.write_bytes(pickle.dumps([
            dict(frame_dir=name, keypoint=spoil(value))
            for name, value in (('good', 1), ('bad', np.nan))]))
        with pytest.raises(InputError, match=r"a.pkl\), clip 'bad': 1 value"):
            read(path)

    def test_clips_without_names_are_counted(self, tmp_path):
        path = tmp_path / 'a.pkl'
        path.write_bytes(pickle.dumps([dict(keypoint=KEYPOINT)] * 2))
        assert [clip['frame_dir'] for clip in read(path)] == ['a', 'a_1']

    def test_npz_of_another_body(self, tmp_path):
        write_mamp(tmp_path / 'NTU60_CS.npz')
        with pytest.raises(InputError, match='^input 0 .*persons . 20 joints'):
            read(tmp_path / 'NTU60_CS.npz', ClipReader(KINECT20, 3))

    def test_objects_in_arrays_are_not_loaded(self, tmp_path):
        np.save(tmp_path / 'a.npy', np.array([{}]), allow_pickle=True)
        with pytest.raises(InputError, match='allow_pickle'):
            read(tmp_path / 'a.npy')
