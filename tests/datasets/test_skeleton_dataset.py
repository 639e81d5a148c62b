# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import logging
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.datasets import PoseDataset
from mmengine.dataset import ConcatDataset, RepeatDataset

from skel_ssl.datasets import SeededIndex, SkeletonDataset
from skel_ssl.datasets.checks import clip_fault, find_faults
from skel_ssl.datasets.skeleton_dataset import ClipError
from skel_ssl.registry import DATASETS

DATA = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'data'
needs_data = pytest.mark.skipif(
    not DATA.exists(), reason='the skeleton data are not at ../shared')

NAMES = tuple('abcdefgh')


def make_clip(name='a', persons=1, frames=5, joints=25, **changes):
    rng = np.random.default_rng(ord(name[0]))
    keypoint = rng.normal(size=(persons, frames, joints, 3))
    clip = dict(
        frame_dir=name,
        label=0,
        total_frames=frames,
        keypoint=keypoint.astype(np.float32))
    clip.update(changes)
    return {k: v for k, v in clip.items() if v is not None}


def broken(value, person=0, frame=2, joint=7):
    keypoint = make_clip(persons=2)['keypoint']
    keypoint[person, frame, joint, 1] = value
    return keypoint


def scores(value):
    made = np.zeros((1, 5, 25))
    made[0, 2, 7] = value
    return made


@pytest.fixture
def write(tmp_path):

    def write(clips=None, **splits):
        clips = [make_clip(x) for x in NAMES] if clips is None else clips
        splits = splits or dict(train=list('fdba'), val=list('ce'), rest=['g'])
        path = tmp_path / 'clips.pkl'
        path.write_bytes(pickle.dumps(dict(split=splits, annotations=clips)))
        return str(path)

    return write


def names(dataset):
    return [dataset.get_data_info(i)['frame_dir'] for i in range(len(dataset))]


# ----------------------------------------------------------------- the checks

FAULTS = [
    (dict(frame_dir=None), "no 'frame_dir'"),
    (dict(keypoint=None), "no 'keypoint'"),
    (dict(keypoint=[[1.]]), 'not an array of real numbers but .*list'),
    (dict(keypoint=np.array([[['x']]])), 'not an array of real numbers'),
    (dict(keypoint=np.ones((5, 25, 3))), r'shape \(5, 25, 3\)'),
    (dict(keypoint=np.ones((1, 0, 25, 3))), 'no frames'),
    (dict(keypoint=np.ones((1, 5, 20, 3))), 'has 20 joints, .* has 25'),
    (dict(keypoint=np.ones((3, 5, 25, 3))), 'has 3 persons, at most 2'),
    (dict(total_frames=4), "'total_frames' is 4, 'keypoint' has 5 frames"),
    (dict(total_frames=None), "'total_frames' is missing"),
    (dict(label=None), "no 'label'"),
    (dict(label=1.5), "has 'label' 1.5, not a whole number of 0 or more"),
    (dict(label=-1), "has 'label' -1, not"),
    (dict(label=True), "has 'label' True, not"),
    (dict(label='walk'), "has 'label' 'walk', not"),
    (dict(label=np.eye(60)[3]), r"has 'label' array\(\[0.*, not a whole"),
    (dict(keypoint=broken(np.nan)),
     r'1 value\(s\).* is nan at person 0, frame 2, joint 7'),
    (dict(keypoint=broken(-np.inf, person=1)),
     'is -inf at person 1, frame 2, joint 7'),
    (dict(keypoint=np.zeros((2, 5, 25, 3))), 'holds nobody'),
    (dict(keypoint=np.ones((0, 5, 25, 3))), 'holds nobody'),
    (dict(keypoint_score=[[1.]]),
     "'keypoint_score' is not an array of real numbers but .*list"),
    (dict(keypoint_score=np.ones((1, 5, 25, 1))),
     r"'keypoint_score' has shape \(1, 5, 25, 1\).* \(1, 5, 25\)"),
    (dict(keypoint_score=scores(np.nan)),
     r"'keypoint_score': 1 value\(s\).* nan at person 0, frame 2, joint 7"),
    (dict(keypoint_score=scores(np.inf)), 'is inf at person 0, frame 2, j'),
    (dict(keypoint_score=scores(-.5)),
     r'not finite numbers of 0 or more, the first is -0\.5 at person 0'),
]


@pytest.mark.parametrize('changes, said', FAULTS)
def test_each_fault_is_found(changes, said):
    clips = [make_clip('b'), make_clip('a', **changes), make_clip('c')]
    (name, fault), = find_faults(clips, 25, 2, require_label=True)
    assert name == ('<no name>' if 'frame_dir' in changes else 'a')
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(fault)


def test_the_first_of_many_values_is_said():
    keypoint = np.full((2, 5, 25, 3), np.nan)
    keypoint[0, :3] = 1
    fault = clip_fault(make_clip(keypoint=keypoint))
    assert '525 value(s)' in fault and 'person 0, frame 3, joint 0' in fault


@pytest.mark.parametrize('changes', [
    dict(keypoint=np.ones((4, 5, 17, 2), np.float16), label=None),
    dict(keypoint_score=scores(0)),
    dict(keypoint_score=scores(1).astype(np.float16)),
    dict(keypoint=np.ones((1, 5, 25, 3), np.int16)),
    dict(label='walk'),
])
def test_what_is_not_asked_is_no_fault(changes):
    assert clip_fault(make_clip(**changes)) is None


def test_whole_numbers_of_any_kind_are_labels():
    clips = [make_clip(label=x) for x in (3, np.int64(3), np.uint8(0))]
    assert find_faults(clips, require_label=True) == []


# -------------------------------------------------------------------- loading


def test_registered():
    assert DATASETS.get('SkeletonDataset') is SkeletonDataset


@pytest.mark.parametrize('split', ['train', 'val'])
def test_same_clips_in_the_same_order_as_mmaction2(write, split):
    ann_file = write()
    ours = SkeletonDataset(ann_file, [], split=split)
    theirs = PoseDataset(ann_file, [], split=split)
    assert len(ours) == len(theirs)
    for i in range(len(ours)):
        np.testing.assert_equal(ours[i], dict(theirs[i], split=split))


def test_no_split_is_the_whole_file(write):
    dataset = SkeletonDataset(write(), [])
    assert names(dataset) == list(NAMES)
    assert 'split' not in dataset[0]


def test_splits_are_joined_in_order(write):
    dataset = SkeletonDataset(write(), [], split=['val', 'train', 'rest'])
    assert names(dataset) == list('ceabdfg')
    splits = [dataset[i]['split'] for i in range(7)]
    assert splits == ['val'] * 2 + ['train'] * 4 + ['rest']


@pytest.mark.parametrize('split, said', [
    ('xsub_trian', r"no split 'xsub_trian', it has \['xsub_train', "
     r"'xsub_val'\]; did you mean 'xsub_train'"),
    (['xsub_val', 'nothing like it'], r"no split 'nothing like it'.*val'\]$"),
    ([], 'name one or more'),
    ('', "no split ''"),
])
def test_unknown_split(write, split, said):
    ann_file = write(xsub_train=['a'], xsub_val=['b'])
    with pytest.raises(ValueError, match=said):
        SkeletonDataset(ann_file, [], split=split)


def test_clips_of_some_subjects(write):
    clips = [make_clip(f'a01_s{i % 3 + 1:02}_e0{i}_v01') for i in range(6)]
    clips += [make_clip('own', subject='Ada'), make_clip('b', subject=7)]
    path = write(clips)
    kept = names(SkeletonDataset(path, [], subjects=['s02', 'Ada', 7]))
    assert kept == ['a01_s02_e01_v01', 'a01_s02_e04_v01', 'own', 'b']
    with pytest.raises(
            ValueError, match=r"no clip of \['s04'\].*'7', 'Ada', 's01'"):
        SkeletonDataset(path, [], subjects=['s01', 's04'])
    with pytest.raises(ValueError, match='no clip of nobody'):
        SkeletonDataset(path, [], subjects=[])


def test_relative_file_is_looked_for_under_data_root(write, monkeypatch):
    folder = Path(write()).parent
    assert len(SkeletonDataset('clips.pkl', [], data_root=str(folder))) == 8
    monkeypatch.chdir(folder)
    assert len(SkeletonDataset('clips.pkl', [])) == 8
    with pytest.raises(FileNotFoundError, match=str(folder / 'no.pkl')):
        SkeletonDataset('no.pkl', [])


def test_faults_are_reported_together(write):
    clips = [make_clip(x, joints=25 if x == 'h' else 20) for x in NAMES]
    with pytest.raises(ValueError) as error:
        SkeletonDataset(write(clips), [])
    said = str(error.value)
    assert said.startswith('7 clip(s)') and "invalid='drop'" in said
    assert said.count('has 20 joints') == 5 and 'and 2 more' in said
    assert '\n  a: has 20 joints' in said and '\n  f:' not in said


def test_faulty_clips_are_left_out_with_a_warning(write, monkeypatch):
    clips = [make_clip(x) for x in 'abcd']
    clips[1]['keypoint'][0, 3, 4, 0] = np.nan
    clips[3]['keypoint'][:] = 0
    ann_file = write(clips, train=['d', 'c', 'b', 'a', 'lost'])
    logged = []
    monkeypatch.setattr('skel_ssl.datasets.skeleton_dataset.print_log',
                        lambda text, level, **_: logged.append((level, text)))
    dataset = SkeletonDataset(ann_file, [], split='train', invalid='drop')
    assert names(dataset) == ['a', 'c']
    (level, text), = logged
    assert level == logging.WARNING
    assert 'left out 3 clip(s)' in text and 'lost, b, d' in text


def test_name_in_a_split_without_a_clip(write):
    ann_file = write(train=['a', 'lost'])
    with pytest.raises(ValueError, match="lost: is named by split 'train'"):
        SkeletonDataset(ann_file, [], split='train')


def test_faults_outside_the_split_do_not_matter(write):
    clips = [make_clip('a'), make_clip('b', persons=3)]
    ann_file = write(clips, train=['a'], val=['b'])
    assert names(SkeletonDataset(ann_file, [], split='train')) == ['a']


@pytest.mark.parametrize('option, expected', [
    (dict(layout='kinect20'), 'ad'),
    (dict(layout=None), 'abd'),
    (dict(layout=None, max_persons=None), 'abcd'),
    (dict(layout=None, require_label=True), 'ab'),
])
def test_options_of_the_checks(write, option, expected):
    clips = [
        make_clip('a', joints=20),
        make_clip('b', joints=25),
        make_clip('c', joints=20, persons=3),
        make_clip('d', joints=20, label=None)
    ]
    dataset = SkeletonDataset(write(clips), [], invalid='drop', **option)
    assert names(dataset) == list(expected)


@pytest.mark.parametrize('clips, splits', [
    ([make_clip('a', persons=3)], dict(train=['a'])),
    ([make_clip('a')], dict(train=[])),
])
def test_nothing_left_is_an_error(write, clips, splits):
    with pytest.raises(ValueError, match="no clip is left .*split='train'"):
        SkeletonDataset(
            write(clips, **splits), [], split='train', invalid='drop')


@pytest.mark.parametrize('option, said', [
    (dict(invalid='ignore'), "'error' or 'drop', not 'ignore'"),
    (dict(layout='ntu52'), "no layout 'ntu52'"),
    (dict(data_prefix=dict(skeleton='x')), 'PoseDataset'),
])
def test_bad_arguments(write, option, said):
    with pytest.raises(ValueError, match=said):
        SkeletonDataset(write(), [], **option)


@needs_data
@pytest.mark.parametrize('name, split, count', [
    ('nwucla_3d', 'xview_clean_val', 369),
    ('utdmhad_3d', ['xsub_train', 'xsub_val'], 861),
])
def test_recorded_data_are_sound(name, split, count):
    path = str(DATA / f'{name}.pkl')
    assert len(SkeletonDataset(path, [], split, layout='kinect20')) == count
    with pytest.raises(ValueError, match='has 20 joints, the layout has 25'):
        SkeletonDataset(path, [], split)


# ------------------------------------------------------- MMEngine's machinery


@pytest.mark.parametrize('serialize', [True, False])
def test_a_pipeline_cannot_change_the_annotations(write, serialize):

    def spoil(results):
        results['keypoint'] *= 0
        results['label'] = results.pop('split')
        return results

    dataset = SkeletonDataset(
        write(), [spoil], split='train', serialize_data=serialize)
    for _ in range(2):
        before = dataset.get_data_info(0)
        assert before['keypoint'].any() and before['split'] == 'train'
        assert not dataset[0]['keypoint'].any()


def test_lazy_init_indices_and_refetch(write):
    calls = []

    def first_two_fail(results):
        calls.append(results['frame_dir'])
        return results if len(calls) > 2 else None

    dataset = SkeletonDataset(
        write(), [first_two_fail], lazy_init=True, indices=3, max_refetch=2)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert names(dataset) == list('abc')
    assert dataset[0]['frame_dir'] == calls[2] and len(calls) == 3
    calls[:] = []
    dataset.max_refetch = 1
    with pytest.raises(Exception, match='Cannot find valid'):
        dataset[0]


# --------------------------------------------------------- random generators


def draw(results):
    return np.random.random(), random.random(), torch.rand(1).item()


def reseed_and_draw(results):
    """What MMAction2's test-mode UniformSampleFrames does."""
    np.random.seed(255)
    return draw(results)


def fail(results):
    draw(results)
    raise RuntimeError('in the pipeline')


def seed_everything():
    np.random.seed(5)
    random.seed(5)
    torch.manual_seed(5)


def test_training_draws_from_the_outer_generators(write):
    dataset = SkeletonDataset(write(), [draw])
    seed_everything()
    expected = draw(None), draw(None)
    seed_everything()
    assert (dataset[0], dataset[1]) == expected


@pytest.mark.parametrize('pipeline', [draw, reseed_and_draw])
def test_test_mode_leaves_the_outer_generators_alone(write, pipeline):
    dataset = SkeletonDataset(write(), [pipeline], test_mode=True)
    seed_everything()
    expected = draw(None)
    seed_everything()
    dataset[0]
    assert draw(None) == expected


@pytest.mark.parametrize('test_mode', [False, True])
def test_a_seed_decides_everything_and_leaves_no_trace(write, test_mode):
    dataset = SkeletonDataset(write(), [draw], test_mode=test_mode)
    seed_everything()
    expected = draw(None)
    seed_everything()
    first = dataset[SeededIndex(3, 17)]
    assert draw(None) == expected
    draw(None)
    assert dataset[SeededIndex(3, 17)] == first
    other = dataset[SeededIndex(3, 18)]
    assert all(a != b for a, b in zip(first, other))


@pytest.mark.parametrize('test_mode, index', [(True, 0),
                                              (False, SeededIndex(0, 1))])
def test_generators_are_put_back_after_an_error(write, test_mode, index):
    dataset = SkeletonDataset(write(), [fail], test_mode=test_mode)
    seed_everything()
    expected = draw(None)
    seed_everything()
    with pytest.raises(ClipError, match='in the pipeline'):
        dataset[index]
    assert draw(None) == expected


@pytest.mark.parametrize('test_mode', [False, True])
def test_an_error_in_the_pipeline_names_the_clip(write, test_mode):

    def fail_at_d(results):
        if results['frame_dir'] == 'd':
            raise IndexError('frame 9')
        return results

    path = write()
    dataset = SkeletonDataset(path, [fail_at_d], 'train', test_mode=test_mode)
    for i, name in enumerate('abdf'):
        if name != 'd':
            assert dataset[i]['frame_dir'] == name
    with pytest.raises(ClipError) as error:
        dataset[2]
    for part in ("clip 'd'", 'number 2', "split='train'", path,
                 'IndexError: frame 9'):
        assert part in str(error.value), part


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_names_the_clip(write, value):

    def spoil(results):
        inputs = torch.ones(2, 3)
        if results['frame_dir'] == 'b':
            inputs[1, 2] = value
        return dict(inputs=inputs)

    dataset = SkeletonDataset(write(), [spoil])
    assert dataset[0]['inputs'].sum() == 6
    with pytest.raises(ClipError, match="clip 'b' .* 1 of 6 values came out"):
        dataset[1]


def test_large_sums_are_no_fault(write):
    """The sum overflows, the values do not."""
    most = torch.full((4, ), torch.finfo(torch.float32).max)
    dataset = SkeletonDataset(write(), [lambda results: dict(inputs=most)])
    assert not torch.isfinite(most.sum())
    assert dataset[0]['inputs'] is not None


def test_seeds_pass_through_mmengines_wrappers(write):
    dataset = SkeletonDataset(write(), [draw])
    direct = [dataset[SeededIndex(i, 100 + i)] for i in range(8)]
    joined = ConcatDataset([dataset, dataset])
    assert joined[SeededIndex(11, 103)] == direct[3]
    assert joined[SeededIndex(-5, 103)] == direct[3]
    repeated = RepeatDataset(dataset, times=3)
    assert repeated[SeededIndex(19, 103)] == direct[3]


def test_the_index_in_a_sample_is_plain(write):
    dataset = SkeletonDataset(write(), [])
    assert type(dataset[SeededIndex(3, 17)]['sample_idx']) is int
