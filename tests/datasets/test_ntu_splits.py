# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from itertools import product

import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.sources.ntu_files import (
    find_files,
    select_files,
)
from skel_ssl.datasets.sources.ntu_splits import (
    DATASETS,
    belongs,
    make_splits,
    parse_name,
    read_missing_list,
)
from tests.conftest import shared_file

NAME = 'S017C003P040R002A060'


def test_names():
    name = parse_name(NAME)
    assert name == (17, 3, 40, 2, 60)
    assert name._fields == ('setup', 'camera', 'performer', 'replication',
                            'action')
    for wrong in ('', f'{NAME}x', NAME[:-1], NAME.lower(), f'._{NAME}',
                  'S٠17C003P040R002A060'):
        with pytest.raises(ValueError, match='is not the name of a clip'):
            parse_name(wrong)


@pytest.mark.parametrize(('name', 'in60', 'in120'), [
    (NAME, True, True),
    ('S018C003P040R002A060', False, True),
    ('S017C003P041R002A060', False, True),
    ('S017C003P040R002A061', False, True),
    ('S032C003P106R002A120', False, True),
    ('S033C003P106R002A120', False, False),
    ('S032C004P106R002A120', False, False),
    ('S032C003P107R002A120', False, False),
    ('S032C003P106R003A120', False, False),
    ('S032C003P106R002A121', False, False),
    ('S001C001P001R001A000', False, False),
])
def test_belongs(name, in60, in120):
    assert belongs(parse_name(name), 'ntu60') is in60
    assert belongs(parse_name(name), 'ntu120') is in120


def test_published_samples():
    reference = load_annotations(
        shared_file('data/ntu_sample5_denoise_3d.pkl'))
    names = [clip['frame_dir'] for clip in reference['annotations']]
    splits = {
        f'{dataset}_{split}': clips
        for dataset in DATASETS
        for split, clips in make_splits(names, dataset).items()
    }
    assert splits == reference['split']


def training_performers(dataset, count):
    names = [f'S001C001P{i:03}R001A001' for i in range(1, count + 1)]
    splits = make_splits(names, dataset)
    assert sorted(splits['xsub_train'] + splits['xsub_val']) == names
    return [int(name[9:12]) for name in splits['xsub_train']]


def test_performers():
    """20 of 40 and 53 of 106, as the two papers list them."""
    ntu60 = training_performers('ntu60', 40)
    assert ntu60 == [
        1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35,
        38
    ]
    assert training_performers('ntu120', 106) == ntu60 + [
        45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81,
        82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103
    ]


def test_cameras_and_setups():
    names = [f'S{s:03}C{c:03}P001R001A001'
             for s, c in product(range(1, 33), range(1, 4))]
    views = make_splits(names, 'ntu60')
    assert {name[4:8] for name in views['xview_train']} == {'C002', 'C003'}
    assert {name[4:8] for name in views['xview_val']} == {'C001'}
    setups = make_splits(names, 'ntu120')
    assert {int(name[1:4]) % 2 for name in setups['xset_train']} == {0}
    assert {int(name[1:4]) % 2 for name in setups['xset_val']} == {1}
    assert list(views) == list(DATASETS['ntu60'].sizes)
    assert list(setups) == list(DATASETS['ntu120'].sizes)


def test_published_sizes():
    """All clips but the missing ones are in one half of each protocol."""
    for dataset, clips in (('ntu60', 56880), ('ntu120', 114480)):
        sizes = list(DATASETS[dataset].sizes.values())
        left = clips - DATASETS[dataset].num_missing
        assert sizes[0] + sizes[1] == sizes[2] + sizes[3] == left


@pytest.mark.parametrize(('file', 'dataset'), [
    ('NTU_RGBD_samples_with_missing_skeletons.txt', 'ntu60'),
    ('NTU_RGBD120_samples_with_missing_skeletons.txt', 'ntu120'),
])
def test_official_missing_lists(file, dataset):
    text = shared_file(f'data/raw/ntu_lists/{file}').read_text()
    names = read_missing_list(text)
    assert len(names) == DATASETS[dataset].num_missing
    assert all(belongs(parse_name(name), dataset) for name in names)


def test_missing_list():
    text = f'\nThese are missing:\r\n{NAME}\r\nS001C001P001R001A001.skeleton'
    assert read_missing_list(text) == {NAME, 'S001C001P001R001A001'}
    with pytest.raises(ValueError, match='no name such as'):
        read_missing_list('<html>')


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f'{name}.skeleton').write_bytes(b'1\n')


def test_files_are_found_by_name(tmp_path):
    one, two = tmp_path / 'a', tmp_path / 'b'
    touch(one, 'S002C001P001R001A001')
    touch(one / 'deep', 'S001C001P001R001A002')
    touch(two, 'S001C001P001R001A001')
    (one / 'notes.txt').write_text('')
    found = find_files([one, two])
    assert [path.stem for path in found] == [
        'S001C001P001R001A001', 'S001C001P001R001A002', 'S002C001P001R001A001'
    ]
    with pytest.raises(ValueError, match='two files are called S00'):
        find_files([one, one])
    with pytest.raises(FileNotFoundError, match='no folder .*c$'):
        find_files([one, tmp_path / 'c'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no .skeleton file in .*empty'):
        find_files([tmp_path / 'empty'])


def test_files_are_selected_by_name(tmp_path):
    names = ('S001C001P001R001A001', 'S001C001P001R001A002',
             'S018C001P001R001A061', 'S040C001P001R001A001', 'copy of S001')
    touch(tmp_path, *names)
    chosen = select_files(find_files([tmp_path]), 'ntu60', {names[1]})
    assert [path.stem for path in chosen.paths] == [names[0]]
    assert chosen.missing == [names[1]]
    assert chosen.others == [names[2]]
    (beyond, why), (odd, why_odd) = chosen.faults
    assert beyond == f'{names[3]}.skeleton' and 'beyond' in why
    assert odd == f'{names[4]}.skeleton' and 'not the name' in why_odd
