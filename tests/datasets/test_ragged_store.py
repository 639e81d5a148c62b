# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The ragged store gives what the pickle gives, bit by bit."""
import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.datasets.transforms import UniformSampleFrames

from skel_ssl.datasets import (
    PosePreNormalize2D,
    PosePreNormalize3D,
    PoseUniformSampleFrames,
    RaggedStore,
    SkeletonDataset,
    load_annotations,
    write_store,
)
from skel_ssl.datasets.ragged_store import (
    COPY,
    IN_STORE,
    STORED,
    decode_persons,
    encode_persons,
)
from tests.conftest import shared_file
from tests.datasets.coco_clips import write_coco_clips
from tests.datasets.store_clips import (
    AS_XSUB,
    batches,
    both,
    dataset_cfg,
    make_clip,
    make_clips,
    same_bits,
)

# ------------------------------------------------------- the same as a pickle


@pytest.mark.parametrize('name, dtype, stock', [
    ('ntu60_xsub', np.float16, False),
    ('ntu60_xsub', np.float32, True),
    ('ntu60_xview', np.float16, True),
    ('ntu60_xview', np.float64, False),
    ('ntu60_xsub_crop120', np.float32, False),
])
def test_samples_of_3d_configs(tmp_path, name, dtype, stock):
    aligned = name == 'ntu60_xview'
    normalise = [PosePreNormalize3D(aligned, aligned)]
    pkl, store = both(tmp_path, make_clips(dtype=dtype), normalise)
    for part, split in (('train', 'xsub_train'), ('val', 'xsub_val'),
                        ('test', 'xsub_val')):
        same_bits(
            batches(dataset_cfg(name, part, stock, split=split), pkl,
                    epochs=2),
            batches(dataset_cfg(name, part, split=split), store, epochs=2))


@pytest.mark.parametrize('stock', [False, True])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_samples_of_2d_configs(tmp_path, part, stock):
    pkl = write_coco_clips(tmp_path / 'coco.pkl', persons=3)
    store = tmp_path / 'coco.store'
    record = write_store(store, **load_annotations(pkl))
    assert record['files']['keypoint_score.npy']['shape'][0] > 0
    same_bits(
        batches(dataset_cfg('ntu60_2d_xsub', part, stock), pkl, epochs=2),
        batches(dataset_cfg('ntu60_2d_xsub', part), str(store), epochs=2))


def test_2d_normalisation_offline(tmp_path):
    pkl = write_coco_clips(tmp_path / 'coco.pkl', persons=3)
    normalise = PosePreNormalize2D((480, 640))
    store = str(tmp_path / 'coco.store')
    write_store(store, **load_annotations(pkl), normalise=[normalise])
    pipeline = [normalise, PoseUniformSampleFrames(8)]
    one, other = (SkeletonDataset(x, pipeline, layout='coco17',
                                  max_persons=None, test_mode=True)
                  for x in (pkl, store))
    for i in range(len(one)):
        np.random.seed(i)
        expected = one[i]
        np.random.seed(i)
        same_bits(other[i], expected)


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_northwestern_ucla_through_workers(tmp_path, workers):
    pkl = shared_file('data/nwucla_3d.pkl')
    data = load_annotations(pkl)
    names = data['split']['xview_clean_train'][::9]
    data['split'] = dict(xview_clean_train=names)
    store = str(tmp_path / 'nw.store')
    write_store(store, **data,
                normalise=[PosePreNormalize3D(layout='kinect20', centre=1)])
    small = str(tmp_path / 'nw.pkl')
    Path(small).write_bytes(pickle.dumps(data))
    cfg = dataset_cfg('nwucla', 'train')
    same_bits(
        batches(cfg, small, epochs=2),
        batches(cfg, store, workers=workers, epochs=2))


def test_annotations_come_back(tmp_path):
    pkl, store = both(tmp_path, make_clips())
    for split in (None, 'xsub_val', ['xsub_val', 'xsub_train']):
        one, other = SkeletonDataset(pkl, [], split), SkeletonDataset(
            store, [], split)
        assert len(one) == len(other)
        for i in range(len(one)):
            same_bits(other[i], one[i])
    assert RaggedStore(store).load_index()['classes'] == ['x']
    record = json.loads((Path(store) / 'store.json').read_text())
    assert record['counts'] == dict(
        clips=10, faulty=0, persons=14, absent=2, copies=2,
        frames=sum(x['total_frames'] for x in load_annotations(
            pkl)['annotations']))
    rows = np.load(Path(store) / 'keypoint.npy', mmap_mode='r')
    assert rows.shape[1:] == (25, 3) and len(rows) < sum(
        x['keypoint'].shape[0] * x['total_frames']
        for x in load_annotations(pkl)['annotations'])


def test_few_labels_are_the_same(tmp_path):
    for path in both(tmp_path, make_clips(26)):
        dataset = SkeletonDataset(path, [], few_labels=dict(ratio=.2))
        names = [dataset.get_data_info(i)['frame_dir']
                 for i in range(len(dataset))]
        found = dataset.metainfo['few_labels'], names
        if path.endswith('.pkl'):
            expected = found
    assert found == expected and len(names) == 6


def broken_clips():
    clips = make_clips(9)
    clips[1]['keypoint'][0, 3, 4, 0] = np.nan
    clips[2]['keypoint'] = clips[2]['keypoint'][[0, 1, 0]]
    clips[3]['total_frames'] = 4
    del clips[4]['label']
    clips[5] = make_clip('clip f', joints=20)
    clips[6]['label'] = 1.5
    return clips


@pytest.mark.parametrize('options', [
    dict(), dict(max_persons=None), dict(require_label=True),
    dict(split='xsub_train')
])
def test_faults_are_those_of_the_pickle(tmp_path, options):
    clips = broken_clips()
    split = dict(xsub_train=[*(x['frame_dir'] for x in clips), 'lost'])
    pkl, store = both(tmp_path, clips, **split)
    said = []
    for path in (pkl, store):
        with pytest.raises(ValueError, match='cannot be used') as error:
            SkeletonDataset(path, [], **options)
        said.append(str(error.value).replace('.store', '.pkl'))
    assert said[1].replace('joints of 3 coordinates, the store 25 of 3',
                           'joints, the layout has 25') == said[0]
    kept = [[x.get_data_info(i)['frame_dir'] for i in range(len(x))]
            for x in (SkeletonDataset(path, [], invalid='drop', **options)
                      for path in (pkl, store))]
    assert kept[0] == kept[1] and 2 < len(kept[0]) < 8


def test_layout_is_checked(tmp_path):
    _, store = both(tmp_path, make_clips())
    with pytest.raises(ValueError, match='25 joints, the layout has 20'):
        SkeletonDataset(store, [], layout='kinect20')


def test_what_the_normalisation_refuses_is_a_fault(tmp_path):
    _, store = both(tmp_path, broken_clips(), [PosePreNormalize3D()])
    with pytest.raises(ValueError, match='3 persons, but only one or two'):
        SkeletonDataset(store, [], max_persons=None)


def test_clips_that_nobody_is_seen_in(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr('skel_ssl.datasets.skeleton_dataset.print_log',
                        lambda text, **_: logged.append(text))
    pkl = write_coco_clips(tmp_path / 'x.pkl', variants=('normal', 'unseen'))
    data = load_annotations(pkl)
    write_store(tmp_path / 'x.store', **data)
    for path in (pkl, str(tmp_path / 'x.store')):
        SkeletonDataset(path, [], layout='coco17')
    assert logged[0].replace('.pkl', '.store') == logged[1]
    data['split'] = {}
    data['annotations'] = data['annotations'][1:2]
    write_store(tmp_path / 'y.store', **data)
    with pytest.raises(ValueError, match="delete 'keypoint_score'"):
        SkeletonDataset(str(tmp_path / 'y.store'), [], layout='coco17')


# ------------------------------------------------------------- normalisations


def test_other_normalisation_is_an_error(tmp_path):
    _, store = both(tmp_path, make_clips(), [PosePreNormalize3D()])
    for pipeline in ([PosePreNormalize3D(align_shoulder=False)],
                     [PoseUniformSampleFrames(9)],
                     [PoseUniformSampleFrames(9), PosePreNormalize3D()]):
        with pytest.raises(ValueError, match="was normalised with .*'shoul"):
            SkeletonDataset(store, pipeline)
    # a pipeline that comes later meets the note on the clip
    clip = SkeletonDataset(store, [])[0]
    with pytest.raises(ValueError, match=r"with .*'spine': \[0, 1\].* asks "
                       "for .*'spine': None"):
        PosePreNormalize3D(align_spine=False)(copy.deepcopy(clip))
    kept = clip['keypoint'].copy()
    clip = PosePreNormalize3D()(clip)
    same_bits(clip['keypoint'], kept)
    assert 'done_offline' not in clip
    with pytest.raises(ValueError, match="'total_frames' is 3"):
        PosePreNormalize3D()(dict(clip, total_frames=3))  # done only once


def test_settings_are_compared_by_meaning(tmp_path):
    _, store = both(tmp_path, make_clips(), [PosePreNormalize3D(**AS_XSUB)])
    layout = dict(
        name='mine', joints=[str(i) for i in range(25)], centre=3,
        bones=[[i, 1] for i in range(25)], parts=dict(all=range(25)))
    SkeletonDataset(store, [PosePreNormalize3D(**AS_XSUB, layout=layout)])
    with pytest.raises(ValueError, match="'centre': 3"):
        SkeletonDataset(
            store, [PosePreNormalize3D(**AS_XSUB, layout=layout, centre=3)])


def test_two_transforms_in_order(tmp_path):
    steps = [PosePreNormalize3D(**AS_XSUB), PosePreNormalize3D()]
    pkl, store = both(tmp_path, make_clips(), steps)
    one, other = SkeletonDataset(pkl, steps), SkeletonDataset(store, steps)
    for i in range(len(one)):
        same_bits(other[i], one[i])
    with pytest.raises(ValueError, match='begins with'):
        SkeletonDataset(store, steps[::-1])


def test_random_transforms_are_not_done_offline(tmp_path):
    with pytest.raises(ValueError, match='UniformSample.*cannot be done off'):
        both(tmp_path, make_clips(), [PoseUniformSampleFrames(9)])
    assert not list(tmp_path.glob('*store*'))


@pytest.mark.parametrize('clip_len', [7, 30, 45, 90])
@pytest.mark.parametrize('options', [
    dict(), dict(num_clips=4), dict(num_clips=10, test_mode=True),
    dict(test_mode=True, seed=3)
])
def test_frames_are_those_of_mmaction2(clip_len, options):
    theirs = UniformSampleFrames(clip_len, **options)
    ours = PoseUniformSampleFrames(clip_len, **options)
    for clip in make_clips(10):
        for frames in (1, 13, clip['total_frames']):
            part = dict(
                clip, keypoint=clip['keypoint'][:, :frames],
                total_frames=frames)
            np.random.seed(1)
            expected = theirs(dict(part))
            drawn = np.random.random()
            np.random.seed(1)
            same_bits(ours(dict(part)), expected)
            assert np.random.random() == drawn


def test_sampler_wants_the_right_number_of_frames():
    with pytest.raises(ValueError, match="'total_frames' is 3, but"):
        PoseUniformSampleFrames(9)(dict(make_clip('a'), total_frames=3))


# -------------------------------------------------------- persons and rounding


def test_codes_by_hand():
    keypoint = np.zeros((6, 2, 3, 3), np.float32)
    keypoint[0] = keypoint[2] = np.arange(18).reshape(2, 3, 3) + 1
    keypoint[3, ..., 1:] = -0.0
    keypoint[4, 0, 0, 0] = -0.0  # not the same everywhere
    keypoint[5, 1] = 1
    codes = encode_persons(keypoint)
    assert codes == [STORED, 0, COPY, 6, STORED, STORED]
    same_bits(decode_persons(keypoint[[0, 4, 5]], codes), keypoint)
    score = np.zeros(keypoint.shape[:3])
    score[2, 1, 1] = score[3, 1, 1] = 1
    score[1] = -0.0
    assert encode_persons(keypoint, score) == [STORED] * 6


values = st.sampled_from([0., -0., 1., -2.5, 1e-9])


@st.composite
def ragged(draw):
    """Clips of any number of persons and frames, zeros and copies abound."""
    joints, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from(['<f2', '<f4', '>f4', '<f8', '<i2']))
    clips = []
    for i in range(draw(st.integers(1, 4))):
        persons = draw(st.lists(st.sampled_from('zero copy some'.split()),
                                min_size=1, max_size=4))
        frames = draw(st.integers(1, 3))
        shape = frames, joints, channels
        keypoint = np.zeros((len(persons), *shape), dtype)
        score = np.zeros(keypoint.shape[:3], '<f4')
        for m, person in enumerate(persons):
            if person == 'copy':
                keypoint[m], score[m] = keypoint[0], score[0]
            else:
                some = values if person == 'some' else st.just(draw(values))
                size = int(np.prod(shape))
                keypoint[m] = np.reshape(draw(st.lists(
                    some, min_size=size, max_size=size)), shape)
                score[m] = abs(draw(values))
        keypoint[draw(st.integers(0, len(persons) - 1)), 0, 0, 0] = 7
        clip = dict(frame_dir=str(i), total_frames=frames, keypoint=keypoint)
        if draw(st.booleans()):
            clip['keypoint_score'] = score
        clips.append(clip)
    return clips


@settings(max_examples=60, deadline=None)
@given(ragged())
def test_round_trip_of_anything(tmp_path_factory, clips):
    path = tmp_path_factory.mktemp('fuzz') / 'x.store'
    write_store(path, clips, split={})
    store = RaggedStore(path)
    store.verify()
    for info, clip in zip(store.load_index()['annotations'], clips):
        found = store.read(info[IN_STORE])
        assert found.keys() == clip.keys() - {'frame_dir', 'total_frames'}
        for key, array in found.items():
            native = clip[key].astype(clip[key].dtype.newbyteorder('='))
            same_bits(array, native)


def test_normalised_to_nothing(tmp_path):
    """Persons without any extent are all zero once they are centred."""
    clip = make_clip('a', 'one')
    clip['keypoint'][:] = 1
    _, store = both(tmp_path, [clip], [PosePreNormalize3D(**AS_XSUB)], all='a')
    assert RaggedStore(store).record['counts']['persons'] == 0
    found = SkeletonDataset(store, [])[0]['keypoint']
    assert found.shape == clip['keypoint'].shape and not found.any()


def test_rounding_is_said(tmp_path):
    clips = make_clips()
    _, store = both(tmp_path, clips, dtype='float16')
    dataset = SkeletonDataset(store, [])
    worst = 0
    for i, clip in enumerate(clips):
        found = dataset[i]['keypoint']
        same_bits(found, clip['keypoint'].astype(np.float16))
        worst = max(worst, np.abs(found - clip['keypoint'].astype('f8')).max())
    record = RaggedStore(store).record
    assert record['rounded_to'] == 'float16'
    assert 0 < record['largest_rounding'] == worst < 2e-3


def test_what_does_not_fit(tmp_path):
    clips = make_clips(2)
    clips[1]['keypoint'][0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match="'clip b': 1000000.0 does not fit"):
        both(tmp_path, clips, dtype='float16')
    clips[1]['keypoint'] = clips[1]['keypoint'].astype(np.float64)
    with pytest.raises(ValueError, match='float64.*give --dtype float32'):
        both(tmp_path, clips)
    both(tmp_path, clips, dtype='float32')
    with pytest.raises(ValueError, match="not one of 1 clips .*clip a: 'tot"):
        both(tmp_path / '..', [dict(clips[0], total_frames=1)], all=[])
