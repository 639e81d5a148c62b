# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Statistics, by hand; and that no test clip chooses a read-out."""
import pytest

from skel_ssl.benchmark.figures import (
    Figure,
    choose_readout,
    find_figure,
    validation_accuracy,
)
from tests.benchmark.suites import frozen_result

REQUEST = dict(tests=['xsub'], readouts=['mean', 'joint'])


def record(state='done', **result):
    return dict(stages=dict(frozen=dict(frozen_result(REQUEST, **result),
                                        state=state)))


def test_three_seeds():
    figure = Figure((.5, .6, .7), 100)
    assert figure.mean == pytest.approx(.6)
    assert figure.std == pytest.approx(.1)
    # 60 of 100, z = 1.959964: (0.6 + z^2 / 200 -+ z sqrt(0.6 * 0.4 / 100 +
    # z^2 / 40000)) / (1 + z^2 / 100)
    assert figure.interval_of_clips == pytest.approx((.50200, .69060),
                                                     abs=1e-5)
    # t(0.975, 2) = 4.302653; half is 4.302653 * 0.1 / sqrt(3)
    assert figure.interval_of_seeds == pytest.approx((.35159, .84841),
                                                     abs=1e-5)


def test_two_seeds_and_one():
    # t(0.975, 1) = 12.706205, times 0.1 / 2: beyond 1
    assert Figure((.8, .9), 10).interval_of_seeds == pytest.approx(
        (.21469, 1), abs=1e-5)
    one = Figure((.8, ), 10)
    assert one.std is None and one.interval_of_seeds is None


def test_a_seed_is_the_mean_of_its_probes():
    records = [record(linear=(.5, .7)), record(linear=(.3, .9))]
    found = find_figure(records, 'frozen', 'xsub', 'mean', 'linear')
    assert found.values == pytest.approx((.55, .35))
    assert (found.num_clips, found.readout) == (8, 'mean')
    for args in (('other', 'xsub', 'mean', 'linear'),
                 ('frozen', 'other', 'mean', 'linear'),
                 ('frozen', 'xsub', 'other', 'linear'),
                 ('frozen', 'xsub', 'mean', 'other')):
        assert find_figure(records, *args) is None
    records.append(record('failed'))
    assert len(find_figure(records, 'frozen', 'xsub', 'mean',
                           'linear').values) == 2


def test_held_out_subjects_choose_the_readout():
    # On test, 'joint' is far better; on held-out subjects, 'mean' is.
    records = [record(linear=(.2, .9), held_out=(.6, .5)),
               record(linear=(.2, .9), held_out=(.4, .45))]
    assert choose_readout(records, 'frozen', ['mean', 'joint']) == 'mean'
    for entry in records:
        del entry['stages']['frozen']['figures']
    assert choose_readout(records, 'frozen', ['mean', 'joint']) == 'mean'
    # The mean over seeds counts, not one of them.
    records[1] = record(held_out=(.4, .55))
    assert choose_readout(records, 'frozen', ['mean', 'joint']) == 'joint'


def test_without_cross_validation_nothing_is_chosen():
    records = [record()]
    assert choose_readout([], 'frozen', ['mean']) is None
    assert choose_readout(records, 'frozen', ['mean', 'joint_std']) is None
    run = records[0]['stages']['frozen']['runs'][1]
    assert validation_accuracy(run) == .6
    run['notes']['linear'] = dict(learning_rate=.1)
    assert validation_accuracy(run) is None
    assert choose_readout(records, 'frozen', ['mean', 'joint']) is None
