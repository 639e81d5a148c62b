# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The ragged store gives what the pickle gives, bit by bit."""
import copy
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.datasets.transforms import UniformSampleFrames
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from skel_ssl.datasets import (
    PosePreNormalize2D,
    PosePreNormalize3D,
    PoseUniformSampleFrames,
    RaggedStore,
    SeededSampler,
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
    npy_header,
)
from skel_ssl.registry import DATASETS
from tests.conftest import shared_file
from tests.datasets.coco_clips import write_coco_clips

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
AS_XSUB = dict(align_spine=False, align_shoulder=False)


def make_clip(name, kind='two', dtype=np.float32, label=0, joints=25):
    """One or two persons, of whom one can be absent, a copy or come late."""
    rng = np.random.default_rng(ord(name[-1]))
    frames = int(rng.integers(20, 60))
    keypoint = rng.normal(size=(1 if kind == 'one' else 2, frames, joints, 3))
    if kind == 'absent':
        keypoint[1] = 0
    if kind == 'copy':
        keypoint[1] = keypoint[0]
    if kind == 'late':  # the second one is seen more often
        keypoint[0, :5] = 0
        keypoint[1, 10] = 0
    return dict(
        frame_dir=name,
        label=label,
        total_frames=frames,
        keypoint=keypoint.astype(dtype),
        camera=3)


KINDS = ('one', 'two', 'absent', 'copy', 'late')


def make_clips(count=10, **kwargs):
    return [make_clip(f'clip {chr(97 + i)}', KINDS[i % 5], label=i % 2,
                      **kwargs) for i in range(count)]


def both(folder, clips, normalise=(), dtype=None, **split):
    """A pickle and the store made of it."""
    split = split or dict(xsub_train=[x['frame_dir'] for x in clips[:-3]],
                          xsub_val=[x['frame_dir'] for x in clips[-3:]])
    pkl, store = folder / 'clips.pkl', folder / 'clips.store'
    pkl.write_bytes(
        pickle.dumps(dict(split=split, annotations=clips, classes=['x'])))
    data = load_annotations(pkl)
    write_store(store, data.pop('annotations'), normalise=normalise,
                dtype=dtype, **data)
    return str(pkl), str(store)


def same_bits(one, other):
    """Compare samples, the sign of zeros and all dtypes included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same_bits(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for x, y in zip(one, other):
            same_bits(x, y)
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, torch.Tensor):
        same_bits(one.numpy(), other.numpy())
    elif hasattr(one, 'to_dict'):
        same_bits(one.to_dict(), other.to_dict())
        same_bits(one.metainfo, other.metainfo)
    else:
        assert one == other


def batches(cfg, ann_file, workers=0, epochs=1):
    cfg = copy.deepcopy(dict(cfg, ann_file=ann_file))
    init_default_scope('mmaction')
    dataset = DATASETS.build(cfg)
    sampler = SeededSampler(dataset, shuffle=True, seed=7)
    made = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        made += DataLoader(
            dataset, 16, sampler=sampler, num_workers=workers,
            collate_fn=pseudo_collate)
    return made


def dataset_cfg(name, part, drop_in=False, **changes):
    cfg = Config.fromfile(CONFIGS / 'datasets' / f'{name}.py')
    dataset = cfg[f'{part}_dataloader'].dataset
    dataset.update(changes)
    for transform in dataset.pipeline if drop_in else ():
        if transform['type'] == 'UniformSampleFrames':
            transform['type'] = 'PoseUniformSampleFrames'
    return dataset.to_dict()


# ------------------------------------------------------- the same as a pickle


@pytest.mark.parametrize('name, dtype, drop_in', [
    ('ntu60_xsub', np.float16, False),
    ('ntu60_xsub', np.float32, True),
    ('ntu60_xview', np.float16, True),
    ('ntu60_xview', np.float64, False),
    ('ntu60_xsub_crop120', np.float32, False),
])
def test_samples_of_3d_configs(tmp_path, name, dtype, drop_in):
    aligned = name == 'ntu60_xview'
    normalise = [PosePreNormalize3D(aligned, aligned)]
    pkl, store = both(tmp_path, make_clips(dtype=dtype), normalise)
    for part, split in (('train', 'xsub_train'), ('val', 'xsub_val'),
                        ('test', 'xsub_val')):
        same_bits(
            batches(dataset_cfg(name, part, split=split), pkl, epochs=2),
            batches(dataset_cfg(name, part, drop_in, split=split), store,
                    epochs=2))


@pytest.mark.parametrize('drop_in', [False, True])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_samples_of_2d_configs(tmp_path, part, drop_in):
    pkl = write_coco_clips(tmp_path / 'coco.pkl', persons=3)
    store = tmp_path / 'coco.store'
    record = write_store(store, **load_annotations(pkl))
    assert record['files']['keypoint_score.npy']['shape'][0] > 0
    same_bits(
        batches(dataset_cfg('ntu60_2d_xsub', part), pkl, epochs=2),
        batches(dataset_cfg('ntu60_2d_xsub', part, drop_in), str(store),
                epochs=2))


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
    clips = make_clips(8)
    clips[1]['keypoint'][0, 3, 4, 0] = np.nan
    clips[2]['keypoint'] = clips[2]['keypoint'][[0, 1, 0]]
    clips[3]['total_frames'] = 4
    del clips[4]['label']
    clips[5] = make_clip('clip f', joints=20)
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


# ---------------------------------------------------------- files and workers


def test_a_pipeline_cannot_change_the_store(tmp_path):

    def spoil(results):
        results['keypoint'] *= 0
        results['keypoint'][:] = 5
        return results

    _, path = both(tmp_path, make_clips())
    before = (Path(path) / 'keypoint.npy').read_bytes()
    dataset = SkeletonDataset(path, [spoil])
    clip = dataset.get_data_info(0)
    assert (dataset[0]['keypoint'] == 5).all()
    same_bits(dataset.get_data_info(0), clip)
    store = dataset._store
    with pytest.raises(ValueError, match='read-only'):
        store._map('keypoint')[1][:] = 0
    store.verify()
    assert (Path(path) / 'keypoint.npy').read_bytes() == before


def test_dataset_travels_without_its_data(tmp_path):
    _, path = both(tmp_path, make_clips(26, dtype=np.float64))
    dataset = SkeletonDataset(path, [])
    expected = dataset[5]
    sent = pickle.dumps(dataset)
    assert len(sent) < (Path(path) / 'keypoint.npy').stat().st_size / 10
    same_bits(pickle.loads(sent)[5], expected)
    same_bits(dataset.get_subset([4, 5])[1]['keypoint'], expected['keypoint'])
    lazy = SkeletonDataset(path, [], lazy_init=True, serialize_data=False)
    same_bits(lazy[5], expected)


def resident(path):
    """How many KiB of a file this process has mapped, or skip."""
    maps = Path('/proc/self/smaps')
    if not maps.exists():
        pytest.skip('no /proc/self/smaps on this system')
    found = maps.read_text().split(str(path))[1:]
    assert found, 'the file is not mapped'
    return sum(int(x.split('\nRss:')[1].split()[0]) for x in found)


def test_a_process_keeps_no_page_of_the_store(tmp_path):
    _, path = both(tmp_path, make_clips(26, dtype=np.float64) * 8, all=[])
    array = Path(path).resolve() / 'keypoint.npy'
    assert array.stat().st_size > 2 * 2**21
    dataset = SkeletonDataset(path, [])
    rows = dataset._store._map('keypoint')[1]
    for i in range(len(dataset)):
        dataset[i]
    assert resident(array) == 0
    assert rows[len(rows) // 2].any() and resident(array) > 0


def test_replaced_while_in_use(tmp_path):
    _, path = both(tmp_path, make_clips())
    dataset = SkeletonDataset(path, [])
    shutil.rmtree(path)
    both(tmp_path, make_clips(4))
    with pytest.raises(ValueError, match='was replaced by another one'):
        dataset[0]


@pytest.fixture
def store(tmp_path):
    return Path(both(tmp_path, make_clips())[1])


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def edit(path, **changes):
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **changes)))


@pytest.mark.parametrize('spoil, said', [
    (lambda x: cut(x / 'keypoint.npy', -1), "whole: 'keypoint.npy' has .*AGN"),
    (lambda x: (x / 'keypoint.npy').unlink(), "'keypoint.npy' is missing"),
    (lambda x: cut(x / 'index.pkl', 99), "'index.pkl' has 99 bytes"),
    (lambda x: (x / 'store.json').unlink(), "a whole one: it has no 'store.j"),
    (lambda x: cut(x / 'store.json', 50), "'store.json' .* is damaged: .*AGN"),
    (lambda x: edit(x / 'store.json', format=2), 'has format 2, this .* 1. M'),
    (lambda x: edit(x / 'store.json', kind='y'), 'is of another program'),
    (lambda x: (x / 'store.json').write_text('[]'), 'is of another program'),
    (lambda x: x.joinpath('keypoint.npy').write_bytes(
        npy_header(np.dtype('f4'), (1, 2)) +
        x.joinpath('keypoint.npy').read_bytes()[128:]), 'is mixed up'),
])
def test_unsound_store(store, spoil, said):
    spoil(store)
    with pytest.raises(ValueError, match=said.replace('AGN', 'Copy it again')):
        SkeletonDataset(str(store), [])


def test_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match='make_store.py makes one'):
        SkeletonDataset(str(tmp_path / 'no.store'), [])
    with pytest.raises(ValueError, match='is not a store'):
        SkeletonDataset(str(tmp_path), [])


def test_verify_finds_a_changed_bit(store):
    path = store / 'keypoint.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    opened = RaggedStore(store)
    with pytest.raises(ValueError, match="'keypoint.npy' of .* has changed"):
        opened.verify()


def test_half_written_leaves_nothing(tmp_path):

    def clips():
        yield make_clip('a')
        raise RuntimeError('the disk is on fire')

    with pytest.raises(RuntimeError, match='on fire'):
        write_store(tmp_path / 'x.store', clips(), {})
    assert not list(tmp_path.iterdir())


def test_what_may_be_replaced(store):
    clips = make_clips(3)
    with pytest.raises(ValueError, match='exists; give another name'):
        write_store(store, clips, {})
    write_store(store, clips, {}, overwrite=True)
    assert len(SkeletonDataset(str(store), [])) == 3
    assert [x.name for x in store.parent.glob('*store*')] == ['clips.store']
    (store / 'store.json').unlink()
    with pytest.raises(ValueError, match='not a sound store .*by hand'):
        write_store(store, clips, {}, overwrite=True)
    for name, said in (('x.npy', "ends in '.store'"),
                       ('no/x.store', 'no folder .*/no')):
        with pytest.raises(ValueError, match=said):
            write_store(store.parent / name, clips, {})


def test_same_input_same_bytes(tmp_path):
    folders = [tmp_path / 'one', tmp_path / 'two']
    for folder in folders:
        folder.mkdir()
        both(folder, make_clips(), [PosePreNormalize3D()])
    one, two = (folder / 'clips.store' for folder in folders)
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
