# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Evaluations and confusions, with the numbers of their files."""
from pathlib import Path

import numpy as np
import pytest

from skel_ssl.evaluation.predictions import Predictions
from skel_ssl.report.results import evaluation_section, predictions_section
from tests.report.pages import check


def found(encoder, metric, values, readout='mean'):
    return dict(encoder=encoder, readout=readout, metric=metric,
                values=values, num_clips=100)


@pytest.fixture
def record(tmp_path):
    part = dict(num_clips=100, split='<val>', num_classes=4)
    encoder = dict(kind='pretrained', checkpoint=str(tmp_path / 'e.pth'))
    return dict(
        protocol='frozen/1',
        figures=[
            found('raw', 'knn_k1', [[.3]], 'flat'),
            found('raw', 'knn_k1', [[.25]]),
            found('pretrained', 'linear', [[.5, .6]]),
            found('pretrained', 'knn_k1', [[.4]]),
            found('pretrained', 'map', [[.35]])
        ],
        data=dict(train=part, test=part), persons='valid',
        runs=[dict(encoder=encoder)], warnings=['COLLAPSED: <b>'],
        environment=dict(torch='2.9', git='0123456789abcdef'),
        command='python tools/evaluate.py A B')


def test_the_table_of_an_evaluation(tmp_path, record):
    path = tmp_path / 'e.json'
    section = evaluation_section([(path, record)], tmp_path, 'make it')
    page = check(section.html())
    assert page.rows == [
        ['protocol', 'pre-trained encoder', '95 % interval',
         'raw coordinates'],
        ['read-out: mean', '', '', ''],
        # Sample standard deviation of 50 and 60; 55 of 100 clips.
        ['linear', '55.0 ± 7.1', '45.2 – 64.4', ''],
        ['kNN k=1', '40.0', '30.9 – 49.8', '25.0'],
        ['mAP', '35.0', '', ''],
        ['read-out: flat', '', '', ''],
        ['kNN k=1', '', '', '30.0'],
        ['chance', '25.0', '', '25.0']
    ]
    for text in ('COLLAPSED: <b>', '100 test clips (<val>)', 'torch 2.9',
                 'python tools/evaluate.py A B', str(path)):
        assert text in page.text
    assert 'not of this work dir' not in page.text


def test_an_evaluation_of_other_weights_says_so(tmp_path, record):
    section = evaluation_section([(Path('e.json'), record)],
                                 tmp_path / 'other', '')
    assert 'These weights are not of this work dir' in section.body


def test_without_an_evaluation(tmp_path):
    section = evaluation_section([], tmp_path, 'evaluate <this>')
    assert not section.found
    assert 'evaluate <this>' in check(section.html()).text


def test_confusions_have_names_and_numbers():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    taken = np.array([0, 1, 1, 1, 1, 1, 2, 0])
    predictions = Predictions(np.eye(3)[taken], labels)
    names = ['<script>', 'sit & stand', 'throw']
    section = predictions_section([(Path('d.pkl'), predictions)],
                                  ['x.pkl is <bad>'], names, '')
    page = check(section.html())
    # 4 of 8 are right; the classes have 1/4, 1 and 1/2.
    assert page.rows[1][:2] == ['8', '50.0%']
    assert page.rows[1][4] == '58.3%'
    assert ['<script>', 'sit & stand', '3', '75%'] in page.rows
    assert ['throw', '<script>', '1', '50%'] in page.rows
    assert page.rows[-3:] == [['<script>', '4', '25.0%'],
                              ['throw', '2', '50.0%'],
                              ['sit & stand', '2', '100.0%']]
    assert 'x.pkl is <bad>' in page.text
    [picture] = page.of('img')
    assert picture['alt'] == 'Confusion matrix of 3 classes, top-1 50.0%'


def test_names_of_other_data_are_not_taken():
    predictions = Predictions(np.eye(3), np.arange(3))
    section = predictions_section([(Path('d.pkl'), predictions)], [],
                                  ['one', 'two'], '')
    assert 'class 2' in section.body and 'one' not in section.body
    assert 'Most frequent' not in section.body  # nothing was confused


def test_a_collapse_of_the_predictions():
    predictions = Predictions(np.eye(3)[[1] * 6], np.arange(6) % 3)
    page = check(predictions_section(
        [(Path('d.pkl'), predictions)], [], None, '').html())
    assert "6 of 6 clips are taken for 'class 1'" in page.text


def test_without_predictions():
    section = predictions_section([], ['no dump: x'], None, 'test <it>')
    text = check(section.html()).text
    assert not section.found and 'test <it>' in text and 'no dump: x' in text
