# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What is mended, and that nothing else changes."""
import copy

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.doctor import FAULT, KINDS, examine
from skel_ssl.datasets.doctor.fix import mend
from skel_ssl.datasets.pose_writer import write_pose_pickle
from skel_ssl.datasets.synthetic import make_dataset
from tests.conftest import shared_file
from tests.datasets.doctor.plants import PLANTS, Patient

# Somebody must decide, or the split must be made again.
NOT_MENDED = {
    'label-missing', 'label-beyond-classes', 'label-invalid', 'empty-split',
    'leak-subject', 'copy-other-label', 'mixed-units', 'leak-name',
    'leak-values', 'leak-frames'
}
MENDED = {code for code in PLANTS if KINDS[code].severity == FAULT
          } - NOT_MENDED


@pytest.fixture(scope='module')
def synthetic():
    return make_dataset(num_subjects=4, repetitions=1)


def faults(data):
    return {x.code for x in examine(data).of_severity(FAULT)}


def test_a_clean_file_stays_as_it_is(synthetic, tmp_path):
    mended, fixes = mend(synthetic, examine(synthetic))
    assert fixes == []
    write_pose_pickle(tmp_path / 'out.pkl', **mended)
    np.testing.assert_equal(load_annotations(tmp_path / 'out.pkl'), synthetic)


@pytest.mark.parametrize('code', sorted(MENDED))
def test_what_is_mended(synthetic, code):
    patient = Patient(synthetic)
    for plant in PLANTS[code]:
        plant(patient)
    before = copy.deepcopy(patient.data)
    mended, fixes = mend(patient.data, examine(patient.data))
    assert code in {fix.code for fix in fixes}
    assert faults(mended) == set()
    np.testing.assert_equal(patient.data, before)


@pytest.mark.parametrize('code', sorted(NOT_MENDED))
def test_what_is_left(synthetic, code):
    patient = Patient(synthetic)
    PLANTS[code][0](patient)
    mended, _ = mend(patient.data, examine(patient.data))
    assert faults(mended) == {code}
    names = [x['frame_dir'] for x in patient.data['annotations']]
    assert [x['frame_dir'] for x in mended['annotations']] == names


def test_everything_at_once(synthetic, tmp_path):
    patient = Patient(make_dataset(num_subjects=6, repetitions=1))
    for plants in PLANTS.values():
        for plant in plants:
            plant(patient)
    mended, _fixes = mend(patient.data, examine(patient.data))
    write_pose_pickle(tmp_path / 'out.pkl', **mended)
    again = load_annotations(tmp_path / 'out.pkl')
    assert faults(again) <= NOT_MENDED
    _, more = mend(again, examine(again))
    assert more == []


def test_a_protocol_with_leaks_gets_a_clean_sibling(synthetic):
    patient = Patient(synthetic)
    for code in ('leak-name', 'leak-values', 'leak-frames'):
        PLANTS[code][0](patient)
    mended, fixes = mend(patient.data, examine(patient.data))
    split = mended['split']
    assert len(split['xsub_val']) == len(synthetic['split']['xsub_val']) + 3
    assert split['xsub_clean_val'] == synthetic['split']['xsub_val']
    assert split['xsub_clean_train'] == split['xsub_train']
    assert [fix.place for fix in fixes] == ['xsub']
    assert not any(x.code.startswith('leak') for x in examine(mended).findings
                   if x.place == 'xsub_clean')


def test_clean_siblings_of_nwucla_are_those_of_the_shared_file():
    data = load_annotations(shared_file('data/nwucla_3d.pkl'))
    given = {name: data['split'].pop(name) for name in list(data['split'])
             if 'clean' in name}
    mended, _ = mend(data, examine(data))
    for name, clips in given.items():
        assert sorted(mended['split'][name]) == sorted(clips)


@pytest.mark.parametrize('change, left', [(0, 1), (1e-3, 0)])
def test_clips_of_one_name(synthetic, change, left):
    """Equal ones are one clip; of others nobody knows which is meant."""
    data = copy.deepcopy(synthetic)
    clip = data['annotations'][5]
    data['annotations'].append(
        dict(clip, keypoint=clip['keypoint'] + np.float32(change)))
    mended, _ = mend(data, examine(data))
    names = [x['frame_dir'] for x in mended['annotations']]
    assert names.count(clip['frame_dir']) == left
    assert sum(clip['frame_dir'] in x
               for x in mended['split'].values()) == 2 * left


def test_whole_labels_and_odd_keys(synthetic):
    data = dict(synthetic, path='/here', **{'a b': 1})
    data[7] = 'seven'
    data['annotations'] = [dict(x, label=float(x['label']))
                           for x in data['annotations']]
    mended, fixes = mend(data, examine(data))
    assert [x['label'] for x in mended['annotations']] == [
        x['label'] for x in synthetic['annotations']]
    assert {fix.code for fix in fixes} == {'label-invalid', 'bad-key'}
    assert mended['a b'] == 1 and not {'path', 7} & set(mended)
