# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The protocols: what they read, what they must not read, what they count."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from skel_ssl.datasets import choose_few_labels, hash_clips
from skel_ssl.evaluation import frozen
from skel_ssl.evaluation.collapse import diagnose_features
from skel_ssl.evaluation.encoders import Encoder
from skel_ssl.evaluation.evaluate import Evaluation, Run, warnings_of
from skel_ssl.evaluation.features import FeatureSet
from skel_ssl.evaluation.frozen import FrozenEvaluator, Scores, Settings
from skel_ssl.evaluation.linear_probe import probe_accuracy, train_probes
from skel_ssl.evaluation.logistic_probe import fit_probes
from skel_ssl.evaluation.probe_choice import choose_setting, validation_folds
from skel_ssl.evaluation.report import (
    as_record,
    collect_figures,
    footnotes,
    make_table,
)

# Of the rates and penalties the second is the best.
RATES, PENALTIES = (1e-5, .3, 1e-4), (1e3, 1e-2, 10.)
QUICK = Settings(
    seeds=2, learning_rates=RATES, penalties=PENALTIES, epochs=4,
    batch_size=32, subsets=2)


@pytest.mark.parametrize('name, value, said', [
    ('seeds', 0, 'seeds: 0 must be a whole number, 1 or more'),
    ('epochs', 0, 'epochs: 0 must be a whole number, 1 or more'),
    ('epochs', 1.5, 'epochs: 1.5 must be a whole number'),
    ('subsets', 0, 'subsets: 0 must be a whole number, 1 or more'),
    ('batch_size', 1, 'batch_size: 1 must be a whole number, 2 or more'),
    ('views', -1, 'views: -1 must be a whole number, 0 or more'),
    ('views', True, 'views: True must be a whole number'),
    ('temperature', 0., 'temperature: 0.0 must be above 0 and finite, or N'),
    ('semi_learning_rate', np.nan, 'semi_learning_rate: nan must be above 0'),
    ('learning_rates', (.1, np.inf), 'learning_rates: inf must be above 0'),
    ('learning_rates', (), r'learning_rates=\(\) must be a list with one'),
    ('learning_rates', .1, 'learning_rates=0.1 must be a list'),
    ('penalties', [], r'penalties=\[\] must be a list'),
    ('penalties', ['1e-3'], "penalties: '1e-3' must be above 0"),
    ('ks', (1, 0), 'ks: 0 must be a whole number, 1 or more'),
    ('ratios', (.1, 5), 'ratios: 5 must be above 0 and at most 1'),
    ('ratios', (0., ), 'ratios: 0.0 must be above 0'),
    ('shots', (10, 0), 'shots: 0 must be a whole number, 1 or more'),
    ('ks', (1, 20, 1), r'ks=\[1, 20, 1\] has a number twice'),
])
def test_settings_that_cannot_be(name, value, said):
    with pytest.raises(ValueError, match=said):
        Settings(**{name: value})


def test_settings_at_their_limits():
    Settings(seeds=1, epochs=1, subsets=1, batch_size=2, views=0,
             temperature=None, learning_rates=[1], penalties=(1e-9, ),
             ks=[1], ratios=(1, 1e-3), shots=[1])


def make_set(n, seed, classes=4, width=8):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = np.random.default_rng(7).normal(size=(classes, width))
    features = centres[labels] + .8 * rng.normal(size=(n, width))
    return FeatureSet(
        features=features.astype(np.float32),
        labels=labels,
        names=np.array([f'{seed}_{i}' for i in range(n)]),
        subjects=np.array([f's{i % 6}' for i in range(n)]),
        recordings=np.full(n, ''),
        num_persons=np.ones(n, int))


@pytest.fixture
def sets():
    return make_set(240, 0), make_set(100, 1)


def run(sets, protocols, settings=QUICK, seeds=(0, 1)):
    steps = []
    evaluator = FrozenEvaluator(settings)
    train, test = sets
    scores, = evaluator.run(
        train, [test], protocols, seeds, on_step=lambda: steps.append(1))
    assert len(steps) == evaluator.num_steps(
        sets[0], protocols, len(seeds))
    return scores


def tensors(clips):
    return torch.from_numpy(clips.features), torch.from_numpy(clips.labels)


def test_linear(sets):
    """The rate of held-out subjects, then all clips, the last epoch."""
    scores = run(sets, ['linear'])
    (x, y), (test_x, test_y) = (tensors(s) for s in sets)
    folds = validation_folds(sets[0].labels, sets[0].subjects)
    how = dict(epochs=4, batch_size=32)
    rate, tried = choose_setting(
        lambda x, y, rates: train_probes(x, y, 4, rates, **how), x, y, folds,
        RATES)
    note = scores.notes['linear']
    assert note['learning_rate'] == rate == RATES[1]
    assert note['validation_accuracy'] == {
        str(k): v
        for k, v in tried.items()
    }
    assert (note['held_out_by'], note['folds']) == ('subject', 5)
    assert note['on_the_edge']  # the highest
    expected = [
        float(
            probe_accuracy(
                train_probes(x, y, 4, [rate], seed=s, **how), test_x,
                test_y)[0]) for s in (0, 1)
    ]
    assert scores.values['linear'] == expected
    assert scores.values['linear_top5'] == [1., 1.]


def test_recordings_are_held_out_where_no_subject_is_known(sets):
    train = replace(
        sets[0],
        subjects=np.full(240, ''),
        recordings=np.array([f'{i // 3:04}' for i in range(240)]))
    note = run((train, sets[1]), ['linear']).notes['linear']
    assert (note['held_out_by'], note['folds']) == ('recording', 5)
    folds = validation_folds(train.labels, train.recordings)
    x, y = tensors(train)
    _, tried = choose_setting(
        lambda x, y, rates: train_probes(
            x, y, 4, rates, epochs=4, batch_size=32), x, y, folds, RATES)
    assert note['validation_accuracy'] == {
        str(k): v
        for k, v in tried.items()
    }


def test_logistic(sets):
    """The penalty of held-out subjects, then all clips, once."""
    scores = run(sets, ['logistic'])
    (x, y), (test_x, test_y) = (tensors(s) for s in sets)
    folds = validation_folds(sets[0].labels, sets[0].subjects)
    penalty, tried = choose_setting(
        lambda x, y, grid: fit_probes(x, y, 4, grid), x, y, folds, PENALTIES)
    note = scores.notes['logistic']
    assert note['penalty'] == penalty == PENALTIES[1]
    assert note['validation_accuracy'] == {
        str(k): v
        for k, v in tried.items()
    }
    assert scores.values == dict(
        logistic=[
            float(
                probe_accuracy(
                    fit_probes(x, y, 4, [penalty]), test_x, test_y)[0])
        ],
        logistic_top5=[1.])


def test_several_tests_share_their_probes(sets, monkeypatch):
    trained = []

    def spy(*args, **kwargs):
        trained.append(1)
        return train_probes(*args, **kwargs)

    monkeypatch.setattr(frozen, 'train_probes', spy)
    train, test = sets
    other = make_set(60, 2)
    protocols = ['linear', 'knn', 'few']
    evaluator = FrozenEvaluator(QUICK)
    both = evaluator.run(train, [test, other], protocols, [0, 1])
    assert len(trained) == 9  # five folds, two seeds, two subsets
    assert both == [
        evaluator.run(train, [clips], protocols, [0, 1])[0]
        for clips in (test, other)
    ]
    assert both[0].values != both[1].values


def test_the_rate_does_not_know_the_test_set(sets):
    train, test = sets
    rng = np.random.default_rng(3)
    wrong = replace(test, labels=rng.permutation(test.labels))
    notes = [run((train, t), ['linear']).notes for t in (test, wrong)]
    assert notes[0] == notes[1]


def test_one_rate_is_taken_as_it_is(sets):
    scores = run(sets, ['linear'], replace(QUICK, learning_rates=(.1, )))
    assert scores.notes['linear'] == dict(learning_rate=.1)


def test_neighbours_only_what_was_asked_for(sets):
    assert set(run(sets, ['knn']).values) == {'knn_k1', 'knn_k20'}
    assert set(run(sets, ['retrieval']).values) == {
        'map', 'recall_1', 'recall_5'
    }


def test_k_beyond_the_gallery(sets):
    with pytest.raises(ValueError, match='k=241 .* gallery of 240 clips'):
        run(sets, ['knn'], replace(QUICK, ks=(1, 241)))


def test_few_labels(sets, monkeypatch):
    seen, asked = [], []

    def spy(x, y, *args, **kwargs):
        seen.append(len(x))
        asked.append((args, kwargs['seed'], kwargs['epochs']))
        return train_probes(x, y, *args, **kwargs)

    monkeypatch.setattr(frozen, 'train_probes', spy)
    scores = run(sets, ['semi'], replace(QUICK, semi_learning_rate=.07))
    assert asked == [((4, [.07]), subset, 4) for subset in (0, 1)] * 3
    train = sets[0]
    names, labels = train.names.tolist(), train.labels.tolist()
    x, y = tensors(train)
    kept = choose_few_labels(names, labels, .1, 1)
    probes = train_probes(x[kept], y[kept], 4, [.07], seed=1, epochs=4,
                          batch_size=32)
    assert scores.values['semi_10'][1] == probe_accuracy(
        probes, *tensors(sets[1]))[0]
    assert scores.notes['semi_10']['learning_rate'] == .07
    for ratio, title in ((.01, 'semi_1'), (.05, 'semi_5'), (.1, 'semi_10')):
        assert len(scores.values[title]) == 2
        subsets = scores.notes[title]['subsets']
        for i, subset in enumerate(subsets):
            kept = choose_few_labels(names, labels, ratio, i)
            assert subset == dict(
                subset=i,
                num_clips=len(kept),
                sha256=hash_clips([names[j] for j in kept]))
            assert len(kept) in seen
    assert seen[:2] == [4, 4]  # one clip of each class


def test_clips_of_each_class(sets, monkeypatch):
    seen = []

    def spy(x, y, *args, **kwargs):
        seen.append(y.bincount().tolist())
        return train_probes(x, y, *args, **kwargs)

    monkeypatch.setattr(frozen, 'train_probes', spy)
    scores = run(sets, ['few'], replace(QUICK, shots=(3, 10)))
    assert seen == [[3] * 4] * 2 + [[10] * 4] * 2
    assert [len(scores.values[x]) for x in ('few_3', 'few_10')] == [2, 2]
    three, ten = (
        scores.notes[x]['subsets'] for x in ('few_3', 'few_10'))
    assert [x['num_clips'] for x in three + ten] == [12, 12, 40, 40]
    assert len({x['sha256'] for x in three + ten}) == 4


def test_probes_train_on_views_but_are_chosen_on_clips(sets):
    train, test = sets
    views = [replace(train, features=train.features + i) for i in (1., 2.)]
    evaluator = FrozenEvaluator(QUICK)
    plain, = evaluator.run(train, [test], ['linear', 'knn', 'few'], [0])
    same, = evaluator.run(
        train, [test], ['knn'], [0], views=views)  # neighbours have no views
    assert same.values['knn_k1'] == plain.values['knn_k1']
    # By hand: one view a clip and epoch, held out are the clips themselves.
    seen = torch.from_numpy(
        np.stack([x.features for x in (train, *views)]))
    labels = torch.from_numpy(train.labels)
    how = dict(epochs=4, batch_size=32)
    hits = 0.
    folds = validation_folds(train.labels, train.subjects)
    for fold in folds:
        probes = train_probes(seen[:, fold.fit], labels[fold.fit], 4, [.3],
                              **how)
        hits += probe_accuracy(probes, seen[0][fold.held_out],
                               labels[fold.held_out])[0] * len(fold.held_out)
    found, = evaluator.run(train, [test], ['linear'], [0], views=views)
    tried = found.notes['linear']['validation_accuracy']
    assert tried['0.3'] == pytest.approx(hits / len(train))
    assert found.values != plain.values


def test_views_are_drawn_for_each_epoch():
    # Two views with opposite labels on the only feature: of both together
    # nothing can be learned, of either alone everything.
    labels = torch.arange(64) % 2
    view = 2. * labels[:, None] - 1
    alone = train_probes(view, labels, 2, [1.], epochs=20, batch_size=64)
    both = train_probes(
        torch.stack([view, -view]), labels, 2, [1.], epochs=20, batch_size=64)
    assert alone(view).softmax(-1).amax(-1).min() > .95
    assert both(view).softmax(-1).amax(-1).max() < .8


# ----------------------------------------------------------------- the report


def make_run(kind, values, readout='mean', notes=None, z=None, **about):
    z = np.random.default_rng(0).normal(size=(50, 8)) if z is None else z
    return Run(
        Encoder(kind, None, {}, about), readout,
        Scores(values, notes or {}), diagnose_features(torch.from_numpy(z)))


def evaluation(runs, warnings=()):
    part = dict(
        split='a', num_clips=200, num_classes=4, num_subjects=6, sha256='0')
    return Evaluation(runs, dict(train=part, test=part), QUICK,
                      ['linear', 'knn'], 'valid', list(warnings))


def test_mean_spread_and_interval():
    one = evaluation([
        make_run('random', dict(linear=[.4]), seed=0),
        make_run('random', dict(linear=[.6]), seed=1),
        make_run('pretrained', dict(linear=[.7, .8]), checkpoint='a.pth'),
    ])
    random, trained = collect_figures(one)
    assert (random.mean, random.std_runs) == (pytest.approx(.5), None)
    assert random.std_encoders == pytest.approx(np.sqrt(.02))
    assert (trained.mean, trained.std_encoders) == (pytest.approx(.75), None)
    assert trained.std_runs == pytest.approx(np.sqrt(.005))
    assert trained.text() == '75.0 ± 7.1'
    # Wilson for 150 of 200, by its formula.
    p, n, z = .75, 200, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert trained.interval == pytest.approx((middle - half, middle + half))


def test_several_checkpoints():
    """The spread shown is that of pre-training, not of the probe."""
    figure, = collect_figures(
        evaluation([
            make_run('pretrained', dict(linear=[.6, .6]), checkpoint='a.pth'),
            make_run('pretrained', dict(linear=[.8, .9]), checkpoint='b.pth'),
        ]))
    assert figure.mean == pytest.approx(.725)
    assert figure.text() == '72.5 ± 17.7'
    assert figure.std_runs == pytest.approx(np.sqrt(.005) / 2)


def cells(table):
    return [list(column.cells) for column in table.columns]


def test_the_table():
    note = dict(
        linear=dict(
            learning_rate=.3,
            held_out_by='subject',
            folds=5,
            on_the_edge=True),
        logistic=dict(penalty=.001))
    runs = [
        make_run('raw', dict(linear=[.3], logistic=[.35], knn_k1=[.2])),
        make_run('raw', dict(knn_k1=[.6], map=[.4]), readout='flat'),
        make_run(
            'pretrained',
            dict(
                linear=[.7, .8],
                linear_top5=[1., 1.],
                logistic=[.9],
                knn_k1=[.5]),
            notes=note,
            checkpoint='a.pth'),
    ]
    found = evaluation(runs)
    rows, raw, trained, interval = cells(make_table(found, 'title'))
    assert rows == [
        'mean', '  linear', '  logistic', '  kNN k=1', 'flat', '  kNN k=1',
        '  mAP', 'chance'
    ]
    assert raw == ['', '30.0', '35.0', '20.0', '', '60.0', '40.0', '25.0']
    assert trained == ['', '75.0 ± 7.1', '90.0', '50.0', '', '', '', '25.0']
    assert interval == [
        '', '68.6-80.5', '85.1-93.4', '43.1-56.9', '', '', '', ''
    ]
    text = '\n'.join(footnotes(found))
    assert ('linear, mean: lr 0.3 (edge of the grid), chosen by 5-fold '
            'cross-validation over training subjects; last epoch.') in text
    assert 'logistic, mean: penalty 0.001, given; optimum.' in text
    record = as_record(found)
    assert {f['metric'] for f in record['figures']} == {
        'linear', 'linear_top5', 'logistic', 'knn_k1', 'map'
    }
    assert all(f['state'] == 'reproduced' for f in record['figures'])


# ---------------------------------------------------------------- the warnings


def test_a_class_without_a_training_clip(sets):
    train, test = sets
    keep = train.labels != 2
    less = FeatureSet(**{k: v[keep] for k, v in vars(train).items()})
    scores = run((less, test),
                 ['linear', 'logistic', 'knn', 'retrieval', 'semi'])
    share = float(np.mean(test.labels != 2))
    for name, values in scores.values.items():
        if not name.endswith('_top5'):
            assert max(values) <= share + 1e-9, name
    (text, ) = warnings_of([], less, test)
    count = int((test.labels == 2).sum())
    assert text.startswith(f'classes [2] have no training clip: their {count}')
    assert warnings_of([], train, test) == []


def test_clips_that_were_trained_on(sets):
    train, test = sets
    names = test.names.copy()
    names[:3] = train.names[[5, 6, 7]]
    (text, ) = warnings_of([], train, replace(test, names=names))
    assert text.startswith('3 of 100 test clips are training clips, too')


@pytest.mark.parametrize('collapse, reason', [
    (lambda z: np.ones_like(z) + 1e-7 * z, 'constant'),
    (lambda z: 5 + z[:, :1] * np.arange(1., 9.), 'on a line'),
])
def test_a_collapsed_encoder(sets, collapse, reason):
    z = np.random.default_rng(0).normal(size=(50, 8))
    healthy = make_run('pretrained', {}, checkpoint='good.pth', z=z)
    sick = make_run('pretrained', {}, checkpoint='bad.pth', z=collapse(z))
    floor = make_run('random', {}, seed=0, z=collapse(z))
    (text, ) = warnings_of([healthy, sick, floor], *sets)
    assert text.startswith("COLLAPSED: bad.pth, read-out 'mean': ")
    assert reason in text


@pytest.mark.parametrize('by', ['clip', 'recording'])
def test_unknown_subjects_are_said(sets, by):
    note = dict(linear=dict(learning_rate=.1, held_out_by=by, folds=5))
    run = make_run('pretrained', {}, notes=note, checkpoint='a.pth')
    (text, ) = warnings_of([run], *sets)
    assert f'held-out {by}s, not subjects' in text
    assert f'cross-validation over training {by}s' in '\n'.join(
        footnotes(evaluation([run])))
