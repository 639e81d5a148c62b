# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Held-out training clips, and what is chosen on them."""
import numpy as np
import pytest
import torch

from skel_ssl.evaluation.linear_probe import train_probes
from skel_ssl.evaluation.probe_choice import (
    choose_groups,
    choose_setting,
    groups_known,
    validation_folds,
)
from tests.evaluation.clouds import clouds


def test_nobody_is_on_both_sides():
    rng = np.random.default_rng(0)
    labels, people = rng.integers(0, 4, 200), rng.integers(0, 10, 200)
    subjects = np.array([f'P{p:03}' for p in people])
    folds = validation_folds(labels, subjects)
    assert groups_known(subjects) and len(folds) == 5
    for fit, held_out in folds:
        assert not set(subjects[fit]) & set(subjects[held_out])
        assert sorted([*fit, *held_out]) == list(range(200))
        assert .1 < len(held_out) / 200 < .3
    every = np.concatenate([fold.held_out for fold in folds])
    assert sorted(every) == list(range(200))
    again = validation_folds(labels, subjects)
    assert all(
        np.array_equal(a.held_out, b.held_out) for a, b in zip(folds, again))


def test_fewer_subjects_than_folds():
    subjects = np.array(['P001', 'P002', 'P003'] * 20)
    folds = validation_folds(np.arange(60) % 4, subjects)
    assert [set(subjects[f.held_out]) for f in folds] == [{'P001'}, {'P002'},
                                                          {'P003'}]


def test_fewer_clips_of_a_class_than_folds():
    labels = np.array([0, 0, 0, 1, 1, 2])
    subjects = np.array([f'P{i:03}' for i in range(6)])
    folds = validation_folds(labels, subjects)
    assert len(folds) == 3
    every = np.concatenate([fold.held_out for fold in folds])
    assert sorted(every) == list(range(6))


@pytest.mark.parametrize('subjects', [
    np.full(100, 'P001'),
    np.full(100, ''),
    np.array([''] + ['P001', 'P002', 'P003'] * 33),
])
def test_unknown_subjects(subjects):
    labels = np.arange(100) % 4
    assert not groups_known(subjects)
    for fold in validation_folds(labels, subjects):
        assert np.bincount(labels[fold.held_out]).tolist() == [5] * 4


def test_views_of_a_recording_stay_together():
    """Where no subject is known, as in PKU-MMD."""
    recordings = np.array([f'{i // 3:04}' for i in range(60)])
    nobody = np.full(60, '')
    by, groups = choose_groups(nobody, recordings)
    assert by == 'recording'
    for fit, held_out in validation_folds(np.arange(60) % 4, groups):
        assert not set(recordings[fit]) & set(recordings[held_out])
    subjects = np.array([f's{i % 6}' for i in range(60)])
    by, groups = choose_groups(subjects, recordings)
    assert by == 'subject' and groups is subjects
    by, groups = choose_groups(np.full(60, 's1'), nobody)
    assert by == 'clip' and not groups_known(groups)


@pytest.mark.parametrize('subjects', [[''] * 4, ['a', 'b', 'c', 'd']])
def test_nothing_to_hold_out(subjects):
    with pytest.raises(ValueError, match='every class has but one'):
        validation_folds(np.arange(4), np.array(subjects))


def test_the_setting_is_that_of_the_held_out_clips():
    x, y = clouds(200, noise=1.5)
    subjects = np.array([f's{i % 10}' for i in range(200)])
    folds = validation_folds(y.numpy(), subjects)
    rate, tried = choose_setting(
        lambda x, y, rates: train_probes(
            x, y, 4, rates, epochs=5, batch_size=32), x, y, folds,
        [1., .0001, .1])
    for lr in (.0001, .1, 1.):
        hits = 0
        for fit, held_out in folds:
            probes = train_probes(
                x[fit], y[fit], 4, [lr], epochs=5, batch_size=32)
            with torch.no_grad():
                best = probes(x[held_out])[:, 0].argmax(1)
            hits += int((best == y[held_out]).sum())
        assert tried[lr] == pytest.approx(hits / 200, abs=.02)
    assert tried[rate] == max(tried.values())
    assert rate != .0001
