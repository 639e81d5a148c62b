# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Dumps: read safely, measured as by hand, fused clip by clip."""
import io
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.evaluation import mean_class_accuracy as mmaction_mean
from mmaction.evaluation import top_k_accuracy as mmaction_top_k
from mmengine.evaluator import DumpResults

from skel_ssl.evaluation.predictions import (
    Predictions,
    align,
    calibrate,
    confusion_matrix,
    default_weights,
    find_collapse,
    fuse,
    load_predictions,
    mean_class_accuracy,
    per_class_accuracy,
    save_predictions,
    top_k_accuracy,
    wilson_interval,
)


def make(clips=60, classes=7, seed=0, names=True):
    """Logits that are right about every other time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    scores = rng.normal(size=(clips, classes))
    scores[np.arange(clips), labels] += 1.2
    return Predictions(scores, labels,
                       [f'clip{i}' for i in range(clips)] if names else None)


def dump(path, samples):
    path.write_bytes(pickle.dumps(samples))
    return path


def sample(**changes):
    return dict(
        dict(
            pred_score=torch.tensor([.5, 2., -1.]),
            gt_label=torch.tensor([1]),
            frame_dir='a'), **changes)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder, )


class RunsInATensor(Runs):
    """Hides in the bytes of a tensor, which are a pickle, too."""

    def __reduce__(self):
        content = io.BytesIO()
        torch.save(Runs(self.folder), content)
        return torch.storage._load_from_bytes, (content.getvalue(), )


# -------------------------------------------------------------------- reading


@pytest.mark.parametrize('dtype', [
    torch.float32, torch.float64, torch.float16, torch.bfloat16
])
def test_reads_what_mmengine_dumps(tmp_path, dtype):
    scores = torch.randn(4, 3).to(dtype)  # samples are views of a batch
    labels = [2, 0, 1, 1]
    metric = DumpResults(str(tmp_path / 'x.pkl'))
    metric.process({}, [
        dict(
            pred_score=scores[i],
            pred_label=scores[i].argmax()[None],
            gt_label=torch.tensor([labels[i]]),
            frame_dir=f'S00{i}',
            img_shape=(3, np.float32(2))) for i in range(4)
    ])
    metric.evaluate(4)
    found = load_predictions(tmp_path / 'x.pkl')
    assert found.scores.dtype == np.float64
    np.testing.assert_array_equal(found.scores, scores.double().numpy())
    assert found.labels.tolist() == labels and found.labels.dtype == np.int64
    assert found.names == ['S000', 'S001', 'S002', 'S003']
    assert found.num_classes == 3


def test_arrays_and_numbers_do_as_well_and_names_need_not_be(tmp_path):
    found = load_predictions(
        dump(tmp_path / 'x.pkl', [
            dict(pred_score=np.array([1., 2.], 'f2'), gt_label=1),
            dict(pred_score=[3, 4], gt_label=np.int64(0), frame_dir='b')
        ]))
    assert found.scores.tolist() == [[1, 2], [3, 4]]
    assert found.labels.tolist() == [1, 0]
    assert found.names is None


@pytest.mark.parametrize('names', [True, False])
def test_what_is_saved_is_read_again(tmp_path, names):
    predictions = make(200, names=names)
    save_predictions(tmp_path / 'x.pkl', predictions)
    found = load_predictions(tmp_path / 'x.pkl')
    np.testing.assert_array_equal(found.scores, predictions.scores)
    np.testing.assert_array_equal(found.labels, predictions.labels)
    assert found.names == predictions.names
    # Each clip has its own scores in the file, and not those of all.
    assert (tmp_path / 'x.pkl').stat().st_size < 200 * 2000
    (first, *_) = pickle.loads((tmp_path / 'x.pkl').read_bytes())
    assert first['pred_label'].tolist() == [predictions.scores[0].argmax()]


@pytest.mark.parametrize('kind, said', [
    (Runs, 'asks for .*mkdir'),
    (RunsInATensor, 'asks for other things than numbers in a tensor'),
])
def test_malicious_dumps_are_not_executed(tmp_path, monkeypatch, kind, said):
    target = tmp_path / 'made by the pickle'
    path = dump(tmp_path / 'x.pkl', [sample(more=kind(target))])
    monkeypatch.delenv('SKEL_SSL_TRUST_DATA', raising=False)
    with pytest.raises(ValueError, match=said) as error:
        load_predictions(path)
    assert not target.exists()
    assert str(path) in str(error.value)
    assert 'SKEL_SSL_TRUST_DATA=1' in str(error.value)
    monkeypatch.setenv('SKEL_SSL_TRUST_DATA', '1')
    load_predictions(path)
    assert target.exists()


@pytest.mark.parametrize('code, name', [
    (b'ctorch\nload\n.', 'torch.load'),
    (b'ctorch.hub\nload\n.', 'torch.hub.load'),
    (b'ctorch._utils\n_rebuild_parameter\n.', 'torch._utils._rebuild_param'),
    (b'cos\nsystem\n.', 'os.system'),
])
def test_of_torch_only_tensors_are_known(tmp_path, code, name):
    path = tmp_path / 'x.pkl'
    path.write_bytes(code)
    with pytest.raises(ValueError, match=f'asks for {name}'):
        load_predictions(path)


def shared_lists(depth):
    """Some bytes in a pickle, 2 ** depth numbers if they are written out."""
    value = [1., 2.]
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize('data, said', [
    ([], 'is no dump of a test.*--dump'),
    (dict(split={}), 'is no dump of a test'),
    ([sample(), 3], 'is no dump of a test'),
    ([sample(), dict(feature=1, frame_dir='b')],
     r"clip 1 \(b\): there is no 'pred_score', only \['feature', 'frame_dir'"),
    ([dict(pred_score=[0, 1])], "clip 0: there is no 'gt_label'"),
    ([sample(), sample(pred_score=torch.ones(4))],
     'clip 1.*4 scores.* 3 as in clip 0'),
    ([sample(pred_score=torch.ones(1))], '1 scores.*2 or more'),
    ([sample(pred_score=torch.tensor([1, math.nan, 2]))], 'clip 0.*nan'),
    ([sample(pred_score='abc')], "'pred_score' is not made of numbers"),
    ([sample(pred_score=shared_lists(50))],
     "'pred_score' is not made of numbers .*give a tensor or an array"),
    ([sample(gt_label=torch.tensor([3]))], r"'gt_label' is \[3.*0 to 2"),
    ([sample(gt_label=torch.tensor([-1]))], r"'gt_label' is \[-1"),
    ([sample(gt_label=torch.tensor([0, 1]))], "'gt_label'.*one class"),
])
def test_other_files_are_refused(tmp_path, data, said):
    path = dump(tmp_path / 'x.pkl', data)
    with pytest.raises(ValueError, match=said) as error:
        load_predictions(path)
    assert str(path) in str(error.value)


def test_no_file_and_no_pickle(tmp_path):
    with pytest.raises(FileNotFoundError, match='no dump .*b.pkl.*--dump'):
        load_predictions(tmp_path / 'b.pkl')
    whole = dump(tmp_path / 'x.pkl', [sample()]).read_bytes()
    for size in range(1, len(whole), 29):
        (tmp_path / 'x.pkl').write_bytes(whole[:size])
        with pytest.raises(ValueError, match='cut off or damaged'):
            load_predictions(tmp_path / 'x.pkl')


# -------------------------------------------------------------------- metrics


def test_probabilities():
    logits = make()
    assert not logits.is_probability
    found = logits.probabilities()
    for row, scores in zip(found, logits.scores):
        total = sum(math.exp(s) for s in scores)
        np.testing.assert_allclose(row, [math.exp(s) / total for s in scores])
    already = Predictions(found.astype('f2').astype(float), logits.labels)
    assert already.is_probability
    assert already.probabilities() is already.scores
    large = Predictions(np.array([[1000., 0.]]), np.array([0]))
    assert large.probabilities().tolist() == [[1, 0]]


@pytest.mark.parametrize('rows', [
    [[.5, .5], [.6, .6]],  # one row that does not add up
    [[1.5, -.5]],
    [[0, 0]],
])
def test_scores_that_are_no_probabilities(rows):
    assert not Predictions(np.array(rows, float), np.zeros(1)).is_probability


def test_accuracies_are_those_of_mmaction2():
    predictions = make(300)
    scores, labels = list(predictions.scores), predictions.labels
    for k in (1, 3, 5, 7, 9):
        assert top_k_accuracy(predictions, k) == pytest.approx(
            mmaction_top_k(scores, labels, (k, ))[0])
    assert .2 < top_k_accuracy(predictions, 1) < .8
    assert mean_class_accuracy(predictions) == pytest.approx(
        mmaction_mean(scores, labels))


def test_of_a_tie_the_lower_class_comes_first():
    tied = Predictions(np.array([[1., 1, 0], [1, 1, 0]]), np.array([0, 1]))
    assert top_k_accuracy(tied, 1) == .5 and top_k_accuracy(tied, 2) == 1
    assert np.mean(tied.predicted == tied.labels) == .5
    with pytest.raises(ValueError, match='k=0'):
        top_k_accuracy(tied, 0)


def test_classes_by_loop():
    predictions = make(40)
    keep = predictions.labels != 3  # a class without clips
    predictions = Predictions(predictions.scores[keep],
                              predictions.labels[keep])
    matrix = np.zeros((7, 7), int)
    for score, label in zip(predictions.scores, predictions.labels):
        matrix[label, np.argmax(score)] += 1
    np.testing.assert_array_equal(confusion_matrix(predictions), matrix)
    assert matrix[:, 3].any()  # though it is predicted
    accuracy = per_class_accuracy(predictions)
    assert np.isnan(accuracy[3])
    rest = [0, 1, 2, 4, 5, 6]
    for i in rest:
        assert accuracy[i] == matrix[i, i] / (predictions.labels == i).sum()
    assert mean_class_accuracy(predictions) == pytest.approx(
        np.mean(accuracy[rest]))


def test_wilson_interval_by_formula():
    predictions = make(50)
    p, n, z = top_k_accuracy(predictions, 1), 50, 1.959964
    middle = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n +
                                           z * z / 4 / n / n)
    assert wilson_interval(predictions) == pytest.approx(
        (middle - half, middle + half), abs=1e-6)


def with_confidence(confidence, hits):
    """Two classes; the first one is predicted."""
    best = np.asarray(confidence, float)
    return Predictions(
        np.stack([best, 1 - best], 1), 1 - np.asarray(hits, int))


def test_calibration_by_hand():
    """Bins of a quarter; the upper edge belongs to a bin."""
    found = calibrate(
        with_confidence([.6, .7, .75, .8, 1.], [1, 0, 1, 0, 1]), 4)
    assert found.counts.tolist() == [0, 0, 3, 2]
    np.testing.assert_allclose(found.confidence[2:], [2.05 / 3, .9])
    np.testing.assert_allclose(found.accuracy[2:], [2 / 3, .5])
    assert np.isnan(found.confidence[:2]).all()
    assert np.isnan(found.accuracy[:2]).all()
    assert found.error == pytest.approx((.05 + .8) / 5)
    with pytest.raises(ValueError, match='num_bins=0'):
        calibrate(make(), 0)


def test_calibration_by_loop():
    predictions = make(500)
    probability = predictions.probabilities()
    error = 0
    for i in range(15):
        inside = [j for j in range(500)
                  if i / 15 < probability[j].max() <= (i + 1) / 15]
        if inside:
            hit = np.mean([probability[j].argmax() == predictions.labels[j]
                           for j in inside])
            sure = np.mean([probability[j].max() for j in inside])
            error += len(inside) / 500 * abs(hit - sure)
    assert calibrate(predictions).error == pytest.approx(error)
    assert error > .01


@pytest.mark.parametrize('predicted, labels, found', [
    ([2] * 9 + [0], [0, 1, 2, 0, 1, 2, 0, 1, 2, 0], 2),
    ([2] * 8 + [0] * 2, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0], None),
    ([2] * 9 + [0], [2] * 8 + [0] * 2, None),  # it is that frequent
])
def test_collapse(predicted, labels, found):
    assert find_collapse(Predictions(np.eye(3)[predicted],
                                     np.array(labels))) == found


# --------------------------------------------------------------------- fusion


def shuffled(predictions, seed=1):
    order = np.random.default_rng(seed).permutation(len(predictions.labels))
    return Predictions(predictions.scores[order], predictions.labels[order],
                       [predictions.names[i] for i in order])


def test_clips_find_each_other_by_name():
    one, two = make(), make()
    two.scores[:] = np.random.default_rng(3).normal(size=two.scores.shape)
    first, second = align([one, shuffled(two)], ['a', 'b'])
    np.testing.assert_array_equal(first.scores, one.scores)
    np.testing.assert_array_equal(second.scores, two.scores)
    np.testing.assert_array_equal(second.labels, one.labels)
    assert second.names == one.names


def test_clips_without_names_keep_their_order():
    one, two = make(names=False), make()
    aligned = align([one, two], ['a', 'b'])
    np.testing.assert_array_equal(aligned[1].scores, two.scores)


def cut(predictions, start, stop, prefix=''):
    names = predictions.names
    return Predictions(
        predictions.scores[start:stop], predictions.labels[start:stop],
        names and [prefix + name for name in names[start:stop]])


@pytest.mark.parametrize('items, said', [
    ((make(), cut(make(), 0, 59)), r"1 only in 'a' \(clip59\); dump the same"),
    ((cut(make(), 2, 50), cut(make(), 0, 44)),
     r"6 only in 'a' \(clip44, clip45, clip46, ...\) and 2 only in 'b' "
     r'\(clip0, clip1\)'),
    ((make(), cut(make(), 0, 60, 'x')), "60 only in 'a'.* 60 only in 'b'"),
    ((make(names=False), cut(make(), 0, 9)), "60 and 9 clips.*'frame_dir'"),
    ((make(names=False), make(seed=1)), 'other labels for .* clip 0: '),
    ((make(), make(seed=1)), 'other labels for .* clip clip0: '),
    ((make(), make(classes=5)), '7 and 5 classes'),
    ((make(), Predictions(make().scores, make().labels, ['x'] * 60)),
     "'b' has clip x more than once"),
])
def test_dumps_of_other_clips(items, said):
    with pytest.raises(ValueError, match=said):
        align(items, ['a', 'b'])


def test_fusion_by_hand():
    logits = Predictions(np.log([[.2, .8], [.6, .4]]), np.array([0, 1]),
                         ['p', 'q'])
    shares = Predictions(np.array([[.9, .1], [.5, .5]]), np.array([0, 1]),
                         ['p', 'q'])
    fused = fuse([logits, shares], [1, 3])
    np.testing.assert_allclose(fused.scores, [[.725, .275], [.525, .475]])
    assert fused.is_probability
    assert fused.labels.tolist() == [0, 1] and fused.names == ['p', 'q']
    np.testing.assert_allclose(
        fuse([logits, shares], [0, 2]).scores, shares.scores)


@pytest.mark.parametrize('weights, said', [
    ([1], '1 weights for 2 streams'),
    ([1, -1], r'\[1, -1\] must be 0 or more'),
    ([0, 0], 'not all 0'),
    ([1, math.nan], 'nan'),
])
def test_weights_that_make_no_sense(weights, said):
    with pytest.raises(ValueError, match=said):
        fuse([make(), make()], weights)


def test_usual_weights():
    assert [default_weights(n) for n in range(1, 5)] == [[1], [1, 1],
                                                         [1, 1, 1],
                                                         [2, 2, 1, 1]]
    with pytest.raises(ValueError, match='5 streams.*--weights'):
        default_weights(5)
