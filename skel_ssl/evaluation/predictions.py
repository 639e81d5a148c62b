# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Dumped predictions: reading, metrics, late fusion of streams."""
import os
import pickle
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn import metrics

from skel_ssl.datasets.pickle_io import load_dump

_NUM_SHOWN = 3
# Rows of half-precision probabilities do not add up to 1 exactly.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Scores of a test set.

    Args:
        scores (np.ndarray): ``(n, C)`` float64, logits or probabilities.
        labels (np.ndarray): ``(n, )`` int64, the true classes.
        names (list[str], optional): Names of the n clips.
    """
    scores: np.ndarray
    labels: np.ndarray
    names: Optional[List[str]] = None

    @property
    def num_classes(self) -> int:
        return self.scores.shape[1]

    @property
    def predicted(self) -> np.ndarray:
        """The best class of each clip, ``(n, )``; the lowest of a tie."""
        return self.scores.argmax(1)

    @property
    def is_probability(self) -> bool:
        """Whether each row is within [0, 1] and adds up to 1."""
        sums = self.scores.sum(1)
        return bool((self.scores >= 0).all() and (self.scores <= 1).all()
                    and (np.abs(sums - 1) < _SUM_TOLERANCE).all())

    def probabilities(self) -> np.ndarray:
        """The scores if they are probabilities, else their softmax."""
        return self.scores if self.is_probability else softmax(self.scores, 1)


def load_predictions(path: Union[str, os.PathLike]) -> Predictions:
    """Read a dump of ``tools/test.py --dump`` (MMEngine's ``DumpResults``).

    No code from the file is run, see :func:`load_dump`.

    Args:
        path (str | os.PathLike): A pickled list with one dict a clip:
            ``pred_score`` (C, ), ``gt_label`` (one class) and perhaps
            ``frame_dir``, the name. Names are taken if every clip has one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no such dump, or a score is not finite.
    """
    samples = load_dump(path)
    scores = [
        _numbers(path, i, s, 'pred_score') for i, s in enumerate(samples)
    ]
    labels = [_numbers(path, i, s, 'gt_label') for i, s in enumerate(samples)]
    for i, (score, label) in enumerate(zip(scores, labels)):
        where = _where(path, i, samples[i])
        if score.shape != scores[0].shape or score.size < 2:
            raise ValueError(f'{where}: {score.size} scores, but it must be 2 '
                             f'or more, and {scores[0].size} as in clip 0')
        if not np.isfinite(score).all():
            raise ValueError(f'{where}: {score[~np.isfinite(score)][0]} is '
                             'among the scores; the tested model diverged')
        if label.size != 1 or not 0 <= label[0] < score.size:
            raise ValueError(
                f"{where}: 'gt_label' is {label.tolist()}, it must be one "
                f'class of 0 to {score.size - 1}')
    names = [sample.get('frame_dir') for sample in samples]
    return Predictions(
        np.stack(scores),
        np.concatenate(labels).astype(np.int64),
        None if None in names else [str(name) for name in names])


def _where(path: Union[str, os.PathLike], index: int,
           sample: Dict[str, Any]) -> str:
    name = f' ({sample["frame_dir"]})' if 'frame_dir' in sample else ''
    return f'{os.fspath(path)!r}, clip {index}{name}'


def _numbers(path: Union[str, os.PathLike], index: int,
             sample: Dict[str, Any], key: str) -> np.ndarray:
    """A tensor, array or number of a sample as float64, one axis."""
    if key not in sample:
        raise ValueError(
            f'{_where(path, index, sample)}: there is no {key!r}, only '
            f'{sorted(map(str, sample))}; dump the test of a model that '
            'classifies')
    value = sample[key]
    try:
        # A few bytes of a pickle can hold lists of lists without end.
        if isinstance(value, (list, tuple)) and not all(
                isinstance(x, (int, float, np.number)) for x in value):
            raise TypeError('a list of other things; give a tensor or an '
                            'array')
        # Through torch: NumPy has no bfloat16.
        return torch.as_tensor(value).double().numpy().reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{_where(path, index, sample)}: {key!r} is not made '
                         f'of numbers ({error})') from error


def save_predictions(path: Union[str, os.PathLike],
                     predictions: Predictions) -> None:
    """Write predictions as ``DumpResults`` does, for all that reads it."""
    samples = []
    for i, (score, label) in enumerate(
            zip(predictions.scores, predictions.labels)):
        sample: Dict[str, Any] = dict(
            # A view would bring the scores of all clips into the file.
            pred_score=torch.tensor(score),
            pred_label=torch.tensor([score.argmax()]),
            gt_label=torch.tensor([label]))
        if predictions.names is not None:
            sample['frame_dir'] = predictions.names[i]
        samples.append(sample)
    with open(path, 'wb') as file:
        pickle.dump(samples, file)


# -------------------------------------------------------------------- metrics


def top_k_accuracy(predictions: Predictions, k: int) -> float:
    """Share of the clips whose class is among the k best, 0 to 1.

    Of equal scores the lower class comes first.

    Raises:
        ValueError: If k is below 1.
    """
    if k < 1:
        raise ValueError(f'k={k} must be 1 or more')
    best = np.argsort(-predictions.scores, axis=1, kind='stable')[:, :k]
    return float((best == predictions.labels[:, None]).any(1).mean())


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Number of clips by true class (rows) and predicted class, (C, C)."""
    return metrics.confusion_matrix(
        predictions.labels,
        predictions.predicted,
        labels=np.arange(predictions.num_classes))


def per_class_accuracy(predictions: Predictions) -> np.ndarray:
    """Accuracy of each class, (C, ); NaN for a class without clips."""
    matrix = confusion_matrix(predictions)
    counts = matrix.sum(1)
    return np.divide(
        matrix.diagonal(),
        counts,
        out=np.full(len(matrix), np.nan),
        where=counts > 0)


def mean_class_accuracy(predictions: Predictions) -> float:
    """Mean of the accuracies of the classes that have clips."""
    return float(np.nanmean(per_class_accuracy(predictions)))


def wilson_interval(predictions: Predictions,
                    level: float = 0.95) -> Tuple[float, float]:
    """Confidence interval of the top-1 accuracy, by Wilson's formula.

    It says how far another test set of the same kind would be off by chance;
    the spread of training runs is not in it.
    """
    hits = predictions.predicted == predictions.labels
    return wilson(int(hits.sum()), len(hits), level)


def wilson(hits: int, num_clips: int,
           level: float = 0.95) -> Tuple[float, float]:
    """Wilson's interval of so many hits of so many clips, 0 to 1."""
    interval = binomtest(hits, num_clips).proportion_ci(level, method='wilson')
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy, in bins of equal width over [0, 1].

    Args:
        error (float): Expected calibration error, 0 to 1.
        counts (np.ndarray): Clips in each bin.
        confidence (np.ndarray): Mean confidence of each bin, NaN if empty.
        accuracy (np.ndarray): Accuracy of each bin, NaN if empty.
    """
    error: float
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def calibrate(predictions: Predictions, num_bins: int = 15) -> Calibration:
    """Expected calibration error (Guo et al., ICML 2017, eq. 3).

    The confidence is the largest probability; a bin holds its upper edge and
    not its lower one.

    Raises:
        ValueError: If there are no bins.
    """
    if num_bins < 1:
        raise ValueError(f'num_bins={num_bins} must be 1 or more')
    best = predictions.probabilities().max(1)
    hit = predictions.predicted == predictions.labels
    inner = np.arange(1, num_bins) / num_bins
    place = np.digitize(best, inner, right=True)
    counts = np.bincount(place, minlength=num_bins)
    confidence, accuracy = (
        np.divide(
            np.bincount(place, values, num_bins),
            counts,
            out=np.full(num_bins, np.nan),
            where=counts > 0) for values in (best, hit))
    gaps = np.nan_to_num(np.abs(accuracy - confidence))
    error = float((counts * gaps).sum() / len(best))
    return Calibration(error, counts, confidence, accuracy)


def find_collapse(predictions: Predictions,
                  share: float = 0.9) -> Optional[int]:
    """The class that gets nearly all predictions without being so frequent.

    Returns:
        int, optional: A class with at least ``share`` of the predictions and
        less than half as many of the clips, or None.
    """
    predicted = np.bincount(predictions.predicted)
    winner = int(predicted.argmax())
    true = np.mean(predictions.labels == winner)
    got = predicted[winner] / len(predictions.labels)
    return winner if got >= share and true < got / 2 else None


# --------------------------------------------------------------------- fusion


def align(items: Sequence[Predictions],
          sources: Sequence[str]) -> List[Predictions]:
    """Bring predictions of the same clips into the order of the first.

    By name if all have names; else clip i of one is clip i of the others,
    which the labels must bear out.

    Args:
        items (Sequence[Predictions]): One or more.
        sources (Sequence[str]): What to call them in errors.

    Raises:
        ValueError: If they are not of the same clips, classes and labels, or
            a name comes twice.
    """
    first = items[0]
    named = all(item.names is not None for item in items)
    aligned = []
    for item, source in zip(items, sources):
        pair = f'{sources[0]!r} and {source!r}'
        if item.num_classes != first.num_classes:
            raise ValueError(f'{pair} have {first.num_classes} and '
                             f'{item.num_classes} classes')
        if named:
            names, theirs = first.names or [], item.names or []
            _check_names(names, theirs, sources[0], source)
            place = {name: i for i, name in enumerate(theirs)}
            order = [place[name] for name in names]
            item = replace(
                item,
                scores=item.scores[order],
                labels=item.labels[order],
                names=names)
        elif len(item.labels) != len(first.labels):
            raise ValueError(f'{pair} have {len(first.labels)} and '
                             f'{len(item.labels)} clips, and no names to '
                             "match them by: put 'frame_dir' into meta_keys "
                             'of PackActionInputs')
        wrong = np.flatnonzero(item.labels != first.labels)
        if wrong.size:
            i = wrong[0]
            clip = first.names[i] if first.names and named else i
            raise ValueError(
                f'{pair} have other labels for {wrong.size} clips, such as '
                f'clip {clip}: {first.labels[i]} and {item.labels[i]}; they '
                'are not of the same test set')
        aligned.append(item)
    return aligned


def _check_names(first: List[str], names: List[str], first_source: str,
                 source: str) -> None:
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f'{source!r} has clip {twice} more than once, so '
                         'clips cannot be matched by name; dump each once')
    one, two = set(first), set(names)
    if one != two:
        parts = [
            f'{len(only)} only in {where!r} '
            f'({", ".join(sorted(only)[:_NUM_SHOWN])}'
            f'{", ..." if len(only) > _NUM_SHOWN else ""})'
            for only, where in ((one - two, first_source), (two - one, source))
            if only
        ]
        raise ValueError('the dumps are not of the same clips: '
                         f'{" and ".join(parts)}; dump the same split')


def default_weights(num_streams: int) -> List[float]:
    """The usual weights: equal, and 2:2:1:1 for j, b, jm, bm.

    Raises:
        ValueError: For more than four streams, which have no usual weights.
    """
    if num_streams > 4:
        raise ValueError(f'{num_streams} streams have no usual weights: give '
                         '--weights')
    return [2., 2., 1., 1.] if num_streams == 4 else [1.] * num_streams


def fuse(items: Sequence[Predictions],
         weights: Sequence[float]) -> Predictions:
    """Late fusion: the weighted mean of the streams' probabilities.

    Args:
        items (Sequence[Predictions]): Streams in the same order of clips,
            see :func:`align`.
        weights (Sequence[float]): One each, 0 or more.

    Raises:
        ValueError: If there is not a weight for each, one is negative or not
            finite, or all are 0.
    """
    values = np.asarray(weights, dtype=np.float64)
    if len(values) != len(items):
        raise ValueError(f'{len(values)} weights for {len(items)} streams: '
                         'give one each')
    if not (np.isfinite(values).all() and (values >= 0).all()
            and values.any()):
        raise ValueError(f'weights {list(weights)} must be 0 or more, and not '
                         'all 0')
    scores = np.average([item.probabilities() for item in items],
                        axis=0,
                        weights=values)
    return replace(items[0], scores=scores)
