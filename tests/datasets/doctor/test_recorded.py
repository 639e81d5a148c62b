# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the doctor says of real files, which somebody else has examined."""
import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.doctor import FAULT, examine
from skel_ssl.datasets.doctor.summary import summarise
from tests.conftest import shared_file


@pytest.fixture(scope='module')
def nwucla():
    return load_annotations(shared_file('data/nwucla_3d.pkl'))


@pytest.fixture(scope='module')
def found(nwucla):
    return examine(nwucla)


def test_the_leaks_of_nwucla_and_no_other_fault(found):
    """As data/README.md and the shared README have it."""
    leaks = {(x.place, x.code): x.clips for x in found.of_severity(FAULT)}
    assert set(leaks) == {('xview', 'leak-values'), ('xview3', 'leak-values'),
                          ('xview2', 'leak-values'), ('xview2', 'leak-frames'),
                          ('xview1', 'leak-frames')}
    assert len(leaks['xview', 'leak-values']) == 95
    assert {name[:3] for name in leaks['xview', 'leak-values']
            } == {'a02', 'a03'}
    assert all(name.endswith('_v03') for name in leaks['xview', 'leak-values'])


def test_leaking_clips_are_those_left_out_of_the_clean_splits(nwucla, found):
    split = nwucla['split']
    for protocol, code in (('xview', 'leak-values'),
                           ('xview1', 'leak-frames')):
        leaked, = (x for x in found.findings
                   if (x.place, x.code) == (protocol, code))
        assert set(leaked.clips) == (set(split[f'{protocol}_val'])
                                     - set(split[f'{protocol}_clean_val']))


def test_short_clips_of_nwucla(found):
    short, = (x for x in found.findings if x.code == 'short-clip')
    assert len(short.clips) == 10
    assert short.details.count('1 frame') == 2


@pytest.mark.parametrize('name', [
    'utdmhad_3d', 'sbu_3d', 'ntu_sample5_mmaction2_3d',
    'ntu_sample5_denoise_3d'
])
def test_no_fault_in_the_others(name):
    found = examine(load_annotations(shared_file(f'data/{name}.pkl')))
    assert found.clean
    body = summarise(found)['body']
    assert (body['unit'], body['up']) == ('metres', '+y')


def test_figures_of_nwucla(nwucla, found):
    summary = summarise(found)
    lengths = [x['keypoint'].shape[1] for x in nwucla['annotations']]
    frames = summary['frames']
    assert (frames['min'], frames['median'], frames['max']) == (1, 31, 201)
    assert sum(frames['histogram']['counts']) == len(lengths) == 1484
    assert frames['histogram']['counts'][0] == np.sum(
        np.array(lengths) < frames['histogram']['edges'][1])
    split = summary['splits']['xsub_train']
    assert (split['clips'], sum(split['labels'].values())) == (724, 724)
    assert len(split['subjects']) == 5
