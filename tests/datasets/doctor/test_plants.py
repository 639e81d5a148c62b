# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Every planted fault is found, under its code and with its clips."""
from collections import defaultdict

import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.doctor import FAULT, KINDS, examine
from skel_ssl.datasets.synthetic import make_dataset
from tests.conftest import shared_file
from tests.datasets.doctor.plants import PLANTS, Patient

ALONE = [(code, i) for code, plants in PLANTS.items()
         for i in range(len(plants))]


def shortened(data, keep):
    """Every few clips of a data set."""
    kept = data['annotations'][::keep]
    names = {clip['frame_dir'] for clip in kept}
    split = {key: [name for name in clips if name in names]
             for key, clips in data['split'].items()}
    return dict(data, annotations=kept, split=split)


def with_codes(data):
    return data, {x.code for x in examine(data).findings}


@pytest.fixture(scope='module')
def synthetic():
    return with_codes(make_dataset(num_subjects=4, repetitions=1))


@pytest.fixture(scope='module')
def recorded():
    return load_annotations(shared_file('data/utdmhad_3d.pkl'))


@pytest.fixture(scope='module')
def some_recorded(recorded):
    return with_codes(shortened(recorded, 9))


def clips_by_code(found):
    clips = defaultdict(set)
    for finding in found.findings:
        clips[finding.code].update(finding.clips)
    return clips


def check_alone(sound, code, number):
    data, codes_before = sound
    assert code not in codes_before
    patient = Patient(data)
    expected = PLANTS[code][number](patient)
    found = examine(patient.data)
    assert code in {x.code for x in found.findings}
    assert clips_by_code(found)[code] == expected
    if KINDS[code].severity == FAULT:
        assert not found.clean


@pytest.mark.parametrize('code, number', ALONE)
def test_one_fault_in_synthetic_clips(synthetic, code, number):
    check_alone(synthetic, code, number)


@pytest.mark.parametrize('code, number', ALONE)
def test_one_fault_in_recorded_clips(some_recorded, code, number):
    check_alone(some_recorded, code, number)


def test_all_faults_at_once(recorded):
    assert examine(recorded).findings == []
    patient = Patient(recorded)
    expected = {
        code: set.union(*(plant(patient) for plant in plants))
        for code, plants in PLANTS.items()
    }
    clips = clips_by_code(examine(patient.data))
    assert len(expected) >= 15
    for code, names in expected.items():
        assert code in clips and names <= clips[code], code


def test_a_synthetic_file_is_clean(synthetic):
    data, codes = synthetic
    assert examine(data).clean
    assert not codes & {'units', 'layout-unknown', 'copied-clip'}
