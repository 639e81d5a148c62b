# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Fusion and analysis of dumps through the tools, and their pictures."""
import json
import pickle

import numpy as np
import pytest
from matplotlib.image import imread

from skel_ssl.evaluation.predictions import (
    Calibration,
    Predictions,
    load_predictions,
    save_predictions,
    top_k_accuracy,
)
from skel_ssl.visualization.predictions import (
    draw_confusion_matrix,
    draw_per_class_accuracy,
    draw_reliability,
)
from tests.tools.conftest import NUM_CLASSES, NUM_VAL, TINY_ENCODER

LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
FUSE = 'tools/analysis/fuse_streams.py'
ANALYSE = 'tools/analysis/analyse_predictions.py'
WIDE = dict(COLUMNS='200')  # no table is folded


def make(seed, clips=80, classes=8):
    """Made-up logits of the same clips for every seed."""
    labels = np.arange(clips) % classes
    scores = np.random.default_rng(seed).normal(size=(clips, classes))
    scores[np.arange(clips), labels] += 1.5
    return Predictions(scores, labels, [f'clip{i:03}' for i in range(clips)])


def shuffled(predictions):
    order = np.random.default_rng(9).permutation(len(predictions.labels))
    return Predictions(predictions.scores[order], predictions.labels[order],
                       [predictions.names[i] for i in order])


def table_rows(text):
    """The cells of each row of a table that rich printed."""
    rows = [line.replace('┃', '│').split('│')[1:-1]
            for line in text.splitlines() if '│' in line or '┃' in line]
    return [[cell.strip() for cell in row] for row in rows]


def error_of(done):
    assert done.stderr.count('error: ') == 1
    assert 'Traceback' not in done.stderr
    return ' '.join(done.stderr.split('error: ')[1].split())


@pytest.fixture(scope='module')
def dumps(tmp_path_factory):
    """Four streams; each file has its own order."""
    folder = tmp_path_factory.mktemp('dumps')
    for i, stream in enumerate(('j', 'b', 'jm', 'bm')):
        predictions = make(i)
        save_predictions(folder / f'{stream}.pkl',
                         shuffled(predictions) if i % 2 else predictions)
    return folder


def test_real_dumps_of_two_streams(run_tool, tmp_path):
    """``tools/test.py --stream`` to the fused file and its analysis."""
    dumps = []
    for stream in ('j', 'bm'):
        dumps.append(tmp_path / f'{stream}.pkl')
        run_tool('tools/test.py', LINEAR, '--untrained', '--seed', 0,
                 '--stream', stream, '--dump', dumps[-1], '--work-dir',
                 tmp_path / stream, '--cfg-options', *TINY_ENCODER,
                 'model.cls_head.in_channels=16',
                 f'model.cls_head.num_classes={NUM_CLASSES}',
                 'test_dataloader.num_workers=0')
    joints, motion = (load_predictions(dump) for dump in dumps)
    assert joints.scores.shape == (NUM_VAL, NUM_CLASSES)
    assert joints.names == [f'clip{i}' for i in range(16, 24)]
    assert joints.labels.tolist() == [i % 3 for i in range(16, 24)]
    # The same weights, other data.
    assert np.abs(joints.scores - motion.scores).min() > 0
    (log, ) = (tmp_path / 'j').glob('*/*.json')
    assert json.loads(log.read_text())['acc/top1'] == pytest.approx(
        top_k_accuracy(joints, 1))

    done = run_tool(FUSE, *dumps, '--out', tmp_path / 'fused.pkl', **WIDE)
    assert 'no names' not in done.stdout
    fused = load_predictions(tmp_path / 'fused.pkl')
    np.testing.assert_allclose(
        fused.scores, (joints.probabilities() + motion.probabilities()) / 2)
    run_tool(ANALYSE, tmp_path / 'fused.pkl', **WIDE)
    found = json.loads(
        (tmp_path / 'fused_analysis' / 'predictions.json').read_text())
    assert found['num_clips'] == NUM_VAL


def test_four_streams_have_the_usual_weights(run_tool, dumps, tmp_path):
    files = [dumps / f'{s}.pkl' for s in ('j', 'b', 'jm', 'bm')]
    done = run_tool(FUSE, *files, '--out', tmp_path / 'x.pkl', **WIDE)
    streams = [make(i) for i in range(4)]
    expected = sum(
        w * s.probabilities() for w, s in zip((2, 2, 1, 1), streams)) / 6
    fused = load_predictions(tmp_path / 'x.pkl')
    np.testing.assert_allclose(fused.scores, expected)
    assert fused.names == streams[0].names

    header, *rows = table_rows(done.stdout)
    assert header == [
        'predictions', 'weight', 'top-1', '95 % interval', 'top-5',
        'mean class'
    ]
    assert [row[0] for row in rows] == [*map(str, files), 'fusion']
    assert [row[1] for row in rows] == ['2', '2', '1', '1', '']
    for row, predictions in zip(rows, (*streams, fused)):
        top1, top5 = (100 * top_k_accuracy(predictions, k) for k in (1, 5))
        assert row[2] == row[5] == f'{top1:.2f}'  # ten clips of each class
        assert row[4] == f'{top5:.2f}'
        low, high = map(float, row[3].split(' - '))
        assert low < top1 < high and 10 < high - low < 25
    assert float(rows[-1][2]) > max(float(row[2]) for row in rows[:-1])


def test_weights_of_ones_own(run_tool, dumps, tmp_path):
    run_tool(FUSE, dumps / 'b.pkl', dumps / 'j.pkl', '--weights', 0, 5,
             '--out', tmp_path / 'x.pkl')
    fused = load_predictions(tmp_path / 'x.pkl')
    expected = make(0)
    place = [expected.names.index(name) for name in fused.names]
    np.testing.assert_allclose(fused.scores, expected.probabilities()[place])


def test_dumps_without_names(run_tool, dumps, tmp_path):
    nameless = make(1)
    save_predictions(tmp_path / 'b.pkl',
                     Predictions(nameless.scores, nameless.labels))
    done = run_tool(FUSE, dumps / 'j.pkl', tmp_path / 'b.pkl', **WIDE)
    assert 'matched by their order' in done.stdout


@pytest.mark.parametrize('args, parts', [
    (('j.pkl', 'no.pkl'), ('there is no dump', 'no.pkl')),
    (('j.pkl', '--out', 'x.csv'), ('--out x.csv', '.pkl')),
    (('j.pkl', 'other.pkl'),
     ('not of the same clips', '70 only in', '(clip010, clip011, clip012,')),
])
def test_fusion_says_what_is_wrong(run_tool, dumps, args, parts):
    save_predictions(dumps / 'other.pkl', make(0, clips=10))
    args = [dumps / arg if arg.endswith('.pkl') else arg for arg in args]
    message = error_of(run_tool(FUSE, *args, code=1))
    for part in parts:
        assert part in message, message


NAMES = ['[red]walk[/red]', *(f'action {c}' for c in 'BCDEFGH')]


@pytest.fixture(scope='module')
def biased(tmp_path_factory):
    """Class 2 is always taken for class 5; class 7 has no clips."""
    folder = tmp_path_factory.mktemp('biased')
    predictions = make(0)
    keep = predictions.labels != 7
    scores, labels = predictions.scores[keep], predictions.labels[keep]
    scores[labels == 2, 5] += 50
    save_predictions(folder / 'run1.pkl', Predictions(scores, labels))
    (folder / 'names.txt').write_text('\n'.join(NAMES) + '\n\n')
    content = dict(split={}, annotations=[], classes=NAMES)
    (folder / 'data.pkl').write_bytes(pickle.dumps(content))
    return folder


@pytest.mark.parametrize('classes', ['names.txt', 'data.pkl'])
def test_analysis(run_tool, biased, classes, tmp_path):
    done = run_tool(ANALYSE, biased / 'run1.pkl', '--classes',
                    biased / classes, '--out-dir', tmp_path / 'a' / 'b',
                    **WIDE)
    predictions = load_predictions(biased / 'run1.pkl')
    assert f'top-1 {top_k_accuracy(predictions, 1):.2%}' in done.stdout
    assert 'no clips of 1 classes: action H' in done.stdout
    assert 'collapsed' not in done.stdout
    rows = table_rows(done.stdout)
    worst = rows[rows.index(['class', 'clips', 'accuracy']) + 1]
    assert worst == ['action C', '10', '0.0%']
    assert ['[red]walk[/red]', '10'] in [row[:2] for row in rows]
    header = ['class', 'taken for', 'clips', 'of the class']
    assert rows[rows.index(header) + 1] == [
        'action C', 'action F', '10', '100.0%'
    ]

    out = tmp_path / 'a' / 'b'
    assert sorted(p.name for p in out.iterdir()) == [
        'confusion_matrix.png', 'per_class_accuracy.png', 'predictions.json',
        'reliability.png'
    ]
    for picture in out.glob('*.png'):
        assert imread(picture)[..., :3].std() > .05  # not blank
    found = json.loads((out / 'predictions.json').read_text())
    assert found['top1'] == top_k_accuracy(predictions, 1)
    assert found['classes'] == NAMES
    assert found['clips'] == [10] * 7 + [0]
    assert found['accuracy'][2] == 0 and found['accuracy'][7] is None
    assert found['confusion'][2] == [0, 0, 0, 0, 0, 10, 0, 0]
    assert sum(found['calibration']['clips']) == 70
    assert len(found['calibration']['clips']) == 15
    assert found['collapsed_to'] is None


def test_a_collapse_is_said(run_tool, tmp_path):
    predictions = make(0)
    predictions.scores[:, 4] += 50
    save_predictions(tmp_path / 'x.pkl', predictions)
    done = run_tool(ANALYSE, tmp_path / 'x.pkl', **WIDE)
    assert ("80 of 80 clips are taken for 'class 4' - the predictions have "
            'collapsed') in done.stdout
    assert (tmp_path / 'x_analysis' / 'reliability.png').exists()


@pytest.mark.parametrize('content, parts', [
    (None, ('No such file', )),
    ('a\nb', ('names 2 classes', 'scores for 8')),
])
def test_analysis_says_what_is_wrong(run_tool, biased, tmp_path, content,
                                     parts):
    if content is not None:
        (tmp_path / 'names.txt').write_text(content)
    done = run_tool(ANALYSE, biased / 'run1.pkl', '--classes',
                    tmp_path / 'names.txt', code=1)
    for part in (*parts, str(tmp_path / 'names.txt')):
        assert part in error_of(done)


# ------------------------------------------------------------------- pictures


def texts(labels):
    return [label.get_text() for label in labels]


def test_confusion_matrix_shows_shares_of_the_true_class():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 4]])
    fig = draw_confusion_matrix(matrix, ['sit', 'stand', 'fall'], 'Title')
    ax = fig.axes[0]
    np.testing.assert_allclose(
        ax.images[0].get_array(),
        [[.75, .25, 0], [0, 0, 0], [.2, 0, .8]])
    written = {t.get_position(): t.get_text() for t in ax.texts}
    assert written == {  # (predicted, true)
        (0, 0): '75', (1, 0): '25', (0, 2): '20', (2, 2): '80'
    }
    assert texts(ax.get_yticklabels()) == ['sit  0', 'stand  1', 'fall  2']
    assert texts(ax.get_xticklabels()) == ['0  sit', '1  stand', '2  fall']
    assert ax.get_title() == 'Title'


@pytest.mark.parametrize('num_classes', [2, 10, 60, 120])
def test_no_two_labels_overlap(num_classes):
    names = [f'a rather long name of action {i}' for i in range(num_classes)]
    matrix = np.full((num_classes, num_classes), 3)
    accuracy = np.linspace(0, 1, num_classes)
    figures = [
        draw_confusion_matrix(matrix, names),
        draw_per_class_accuracy(accuracy, matrix.sum(1), names)
    ]
    for fig in figures:
        fig.draw_without_rendering()
        shown = 0
        for ax in fig.axes:
            for axis, side in ((ax.xaxis, 'x'), (ax.yaxis, 'y')):
                boxes = [label.get_window_extent()
                         for label in axis.get_ticklabels()
                         if label.get_text()]
                ends = sorted((getattr(b, f'{side}0'), getattr(b, f'{side}1'))
                              for b in boxes)
                for (_, end), (start, _) in zip(ends, ends[1:]):
                    assert start > end - 1
                shown += len(boxes)
        assert shown >= num_classes
        width, height = fig.get_size_inches()
        assert max(width, height) < 20


def test_bars_are_sorted_and_leave_absent_classes_out():
    accuracy = np.array([.5, np.nan, .25, 1.])
    fig = draw_per_class_accuracy(accuracy, np.array([4, 0, 8, 2]), 'abcd')
    (ax, ) = fig.axes
    assert texts(ax.get_yticklabels()) == ['c (8)', 'a (4)', 'd (2)']
    assert [bar.get_width() for bar in ax.patches] == [.25, .5, 1]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the worst is on top
    assert '58.3%' in fig.get_suptitle()


def test_many_bars_go_into_columns():
    names = [str(i) for i in range(120)]
    fig = draw_per_class_accuracy(
        np.linspace(0, 1, 120), np.ones(120, int), names)
    assert [len(ax.patches) for ax in fig.axes] == [60, 60]


def test_reliability_leaves_empty_bins_out():
    fig = draw_reliability(
        Calibration(.125, np.array([0, 3, 0, 5]),
                    np.array([np.nan, .4, np.nan, .9]),
                    np.array([np.nan, .3, np.nan, .7])))
    above, below = fig.axes
    bars = [(bar.get_x(), bar.get_height()) for bar in above.patches]
    assert bars == [(.25, .3), (.75, .7)]
    points = above.lines[0].get_xydata()
    np.testing.assert_allclose(points, [[.4, .3], [.9, .7]])
    assert [bar.get_height() for bar in below.patches] == [0, 3, 0, 5]
    assert '12.5%' in above.get_title()
