# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The data set of persons, its workers and what runs on it."""
import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from mmengine.dataset import RepeatDataset
from torch.utils.data import DataLoader

from skel_ssl.datasets import (
    PersonDataset,
    PosePreNormalize3D,
    SeededSampler,
    finished_batch,
    load_annotations,
    write_store,
)
from skel_ssl.models.data_preprocessors import (
    FrameDataPreprocessor,
    PersonDataPreprocessor,
)
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.registry import DATASETS
from tests.datasets.person_batches.persons import (
    ALIGN,
    CROP,
    PACK,
    PIPELINE,
    assert_same,
    clips_of,
    seeded,
    walk,
    write,
)


@pytest.fixture
def dataset(ann_file):
    return PersonDataset(clips_of(ann_file))


def epoch(dataset, num_workers=0, batch_size=4, **kwargs):
    sampler = SeededSampler(dataset, seed=3)
    sampler.set_epoch(2)
    loader = DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        collate_fn=finished_batch,
        num_workers=num_workers,
        drop_last=True,
        **kwargs)
    return list(loader)


def test_a_sample_is_a_person_that_is_there(ann_file, dataset):
    clips = DATASETS.build(clips_of(ann_file, [ALIGN]))
    expected = []
    for i, clip in enumerate(clips):
        there = present_persons(torch.from_numpy(clip['keypoint']))
        expected += [
            dict(
                frame_dir=f'c{i}',
                clip=i,
                person=slot,
                label=i,
                total_frames=clip['keypoint'].shape[1])
            for slot in there.nonzero()[:, 0].tolist()
        ]
    assert [dataset.get_data_info(i) for i in range(len(dataset))] == expected
    assert len(dataset) == 18
    assert dataset.metainfo == clips.metainfo


def test_frames_are_the_normalised_ones(tmp_path):
    """An absent person, a copy, empty frames at the end, and float64."""
    rng = np.random.default_rng(0)
    clips = [walk(rng, 2, 9), walk(rng, 3, 12), walk(rng, 1, 11)]
    clips[0][1, 6:] = clips[0][0, 7:] = 0
    clips[1][1] = clips[1][0]
    clips[2] = clips[2].astype(np.float64)
    path = write(tmp_path / 'a.pkl', clips)
    settings = clips_of(path, [CROP, *PACK], max_persons=None)
    read = PersonDataset(settings).persons
    # FormatGCNInput leaves two persons, and one of them is a copy.
    expected = [clips[0][0, :7], clips[0][1, :7], clips[1][0], clips[2][0]]
    assert read.length.tolist() == [7, 7, 12, 11]
    assert read.start.tolist() == [0, 7, 14, 26]
    assert read.clip.tolist() == [0, 0, 1, 2]
    assert read.slot.tolist() == [0, 1, 0, 0]
    assert read.frames.dtype == torch.float32
    np.testing.assert_array_equal(
        read.frames, np.concatenate(expected).astype(np.float32))


def test_a_batch_is_its_persons_with_their_seeds(dataset):
    indices = seeded(5, 0, 17, 5, seed=4)
    batch = dataset.__getitems__(indices)
    joined = finished_batch([dataset[i] for i in indices])
    assert_same(batch, joined)
    assert torch.equal(batch['inputs'][0], batch['inputs'][3])
    other = dataset.__getitems__(seeded(5, 0, 17, 5, seed=5))
    assert not torch.equal(batch['inputs'], other['inputs'])
    assert not torch.equal(batch['mask'], other['mask'])


def test_two_persons_of_a_clip_draw_different_numbers(tmp_path):
    """Who differ in nothing but a hair."""
    clip = walk(np.random.default_rng(0), 1, 30)
    clip = np.concatenate([clip, clip])
    clip[1, 0, 0, 0] += 1e-6
    dataset = PersonDataset(clips_of(write(tmp_path / 'a.pkl', [clip])))
    sampler = SeededSampler(dataset, seed=0)
    one, other = dataset.__getitems__(list(sampler))['inputs']
    assert (one - other).abs().max() > .1


def test_any_number_of_workers(dataset):
    batches = epoch(dataset)
    assert len(batches) == 4  # of four persons, and two are left out
    for num_workers in (1, 2):
        for one, other in zip(batches, epoch(dataset, num_workers)):
            assert_same(one, other)


def test_spawned_workers_share_the_frames(dataset):
    sent = pickle.loads(ForkingPickler.dumps(dataset))
    assert dataset.persons.frames.is_shared()
    assert_same(sent.__getitems__(seeded(1, 2)),
                dataset.__getitems__(seeded(1, 2)))
    dataset.persons.frames[:] = 1  # a copy would not notice
    assert sent.persons.frames.eq(1).all()


def test_global_generators_have_no_say(dataset):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    batch = dataset.__getitems__(seeded(1, 2))
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    torch.manual_seed(1)
    np.random.seed(1)
    assert_same(batch, dataset.__getitems__(seeded(1, 2)))


def test_ranks_share_the_persons(dataset, monkeypatch):
    """A batch of two ranks is that of one process, person by person."""
    whole = epoch(dataset, batch_size=4)
    parts = []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info',
                            lambda rank=rank: (rank, 2))
        parts.append(epoch(dataset, batch_size=2))
    assert len(whole) == len(parts[0]) == len(parts[1]) == 4
    for batch, one, other in zip(whole, *parts):
        for rank, part in enumerate((one, other)):
            assert torch.equal(part['inputs'], batch['inputs'][rank::2])
            assert torch.equal(part['mask'], batch['mask'][rank::2])


def test_a_store_gives_the_same_batches(ann_file, tmp_path, dataset):
    data = load_annotations(ann_file)
    write_store(tmp_path / 'a.store', data['annotations'], data['split'],
                [PosePreNormalize3D()])
    stored = PersonDataset(clips_of(str(tmp_path / 'a.store')))
    for one, other in zip(epoch(dataset), epoch(stored)):
        assert_same(one, other)


def test_an_index_without_a_seed(dataset):
    with pytest.raises(ValueError, match="index 3 .*'SeededSampler'"):
        dataset.__getitems__([*seeded(2), 3])
    with pytest.raises(ValueError, match='SeededSampler'):
        dataset[0]


def test_workers_need_host_memory(ann_file):
    dataset = PersonDataset(clips_of(ann_file), device='meta')
    assert dataset.persons.frames.device.type == 'meta'
    with pytest.raises(RuntimeError, match='meta.*num_workers=0'):
        epoch(dataset, 1)


def test_other_data_sets_are_refused(ann_file):
    repeated = RepeatDataset(DATASETS.build(clips_of(ann_file)), 2)
    with pytest.raises(TypeError, match='SkeletonDataset, not RepeatDataset'):
        PersonDataset(repeated)


def test_too_few_persons_for_a_batch(ann_file, monkeypatch):
    PersonDataset(clips_of(ann_file), batch_size=18)
    with pytest.raises(ValueError, match='18 persons .* batch of 19: .*18'):
        PersonDataset(clips_of(ann_file), batch_size=19)
    monkeypatch.setattr(
        'skel_ssl.datasets.person_batches.dataset.get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='9 persons .* 2 ranks.* of 10'):
        PersonDataset(clips_of(ann_file), batch_size=10)


def test_nobody_and_two_kinds_of_bodies(tmp_path):
    rng = np.random.default_rng(0)
    mixed = write(tmp_path / 'a.pkl', [walk(rng, 1, 9), walk(rng, 1, 9, 20)])
    settings = clips_of(mixed, [CROP, *PACK], layout=None)
    with pytest.raises(ValueError, match=r"'c1' has \(20, 3\).*\(25, 3\)"):
        PersonDataset(settings)
    third = walk(rng, 3, 9)
    third[:2] = 0
    hidden = write(tmp_path / 'b.pkl', [third])
    settings = clips_of(hidden, [CROP, *PACK], max_persons=3)
    with pytest.raises(ValueError, match='nobody in the 1 clips'):
        PersonDataset(settings)


def test_reading_later(ann_file, monkeypatch):
    said = []
    monkeypatch.setattr(
        'skel_ssl.datasets.person_batches.dataset.print_log',
        lambda text, logger: said.append(text))
    dataset = PersonDataset(clips_of(ann_file), lazy_init=True)
    assert not hasattr(dataset, 'persons')
    assert len(dataset) == 18
    frames = dataset.persons.length.sum()
    (text, ) = said
    assert text == (f'18 persons of 12 clips, {frames} frames: '
                    f'{frames * 300 / 2**20:.1f} MiB on cpu')
    persons = dataset.persons
    dataset.full_init()
    assert dataset.persons is persons


# ---------------------------------------------------------- the preprocessors


def test_persons_are_only_moved(dataset):
    batch = dataset.__getitems__(seeded(1, 4, 6))
    data = PersonDataPreprocessor()(batch)
    assert data.pop('data_samples') is None
    assert data['inputs'] is batch['inputs'] and data['mask'] is batch['mask']
    assert type(data['indices']) is type(batch['indices'])
    assert_same(data, batch)


def test_frames_of_persons_are_those_of_clips(ann_file):
    """Each person as a clip of its own; one is absent from some frames."""
    mask = dict(
        type='BodyPartMask',
        layout='ntu25',
        patch_len=1,
        mask_parts='random',
        num_mask_parts=2)
    dataset = PersonDataset(
        clips_of(ann_file, [CROP, PACK[0], mask, PACK[1]]))
    batch = dataset.__getitems__(seeded(0, 2, 5))
    batch['inputs'][1, 3:5] = 0
    preprocessor = FrameDataPreprocessor(num_coordinates=3)
    data = preprocessor(batch)
    there = torch.ones(3, 12, dtype=torch.bool)
    there[1, 3:5] = False
    assert torch.equal(data['inputs'], batch['inputs'][there])
    assert torch.equal(data['mask'], batch['mask'][there])
    assert torch.equal(data['indices'].mask, data['mask'])
    assert len(data['indices'].positions) == data['mask'].sum()
    assert data['views'] == (1, 1, 12) and data['data_samples'] is None


def test_the_pipeline_is_not_changed(ann_file):
    settings = clips_of(ann_file)
    before = copy.deepcopy(settings)
    PersonDataset(settings)
    assert settings == before and settings['pipeline'] == PIPELINE
