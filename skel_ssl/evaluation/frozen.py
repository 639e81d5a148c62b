# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The protocols of a frozen encoder, on features that are already there."""
import math
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import (
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from torch import Tensor

from skel_ssl.datasets.few_labels import choose_few_labels, hash_clips

from .features import FeatureSet
from .linear_probe import (
    LEARNING_RATES,
    LinearProbes,
    probe_accuracy,
    train_probes,
)
from .logistic_probe import PENALTIES, fit_probes
from .neighbours import evaluate_neighbours
from .probe_choice import choose_groups, choose_setting, validation_folds

# What puts a linear layer on all labels, by the setting that is chosen.
PROBES = dict(linear='learning_rate', logistic='penalty')
PROTOCOLS = (*PROBES, 'knn', 'retrieval', 'semi', 'few')
# Changes when a change of the code changes figures.
PROTOCOL_VERSION = 'frozen/1'

Rule = Tuple[str, Callable[[Any], bool]]


def _whole(least: int) -> Rule:
    return (f'a whole number, {least} or more',
            lambda x: type(x) is int and x >= least)


def _is_rate(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) < math.inf


# What settings must be, in words, and whether a value is that.
_RATE: Rule = 'above 0 and finite', _is_rate
_RULES: Dict[str, Rule] = dict(
    seeds=_whole(1),
    epochs=_whole(1),
    batch_size=_whole(2),
    temperature=('above 0 and finite, or None',
                 lambda x: x is None or _is_rate(x)),
    subsets=_whole(1),
    semi_learning_rate=_RATE,
    views=_whole(0))
# The same for each value of a list.
_LIST_RULES: Dict[str, Rule] = dict(
    learning_rates=_RATE,
    penalties=_RATE,
    ks=_whole(1),
    ratios=('above 0 and at most 1', lambda x: _is_rate(x) and x <= 1),
    shots=_whole(1))


@dataclass
class Settings:
    """What the protocols can be asked.

    Args:
        seeds (int): Runs of the linear probe, with seeds 0, 1, ...
        learning_rates (Sequence[float]): Grid of the linear probe; one rate
            is taken as it is.
        penalties (Sequence[float]): Grid of the logistic regression; the
            same.
        epochs (int): Epochs of a linear probe.
        batch_size (int): Clips in a batch of a linear probe.
        ks (Sequence[int]): Numbers of neighbours.
        temperature (float, optional): Of the neighbours' votes; None counts
            heads.
        ratios (Sequence[float]): Shares of the labels.
        subsets (int): Few-label subsets 0, 1, ... of each share.
        semi_learning_rate (float): Of the few-label probes: too few labels
            are left to choose one.
        shots (Sequence[int]): Numbers of labelled clips of each class.
        views (int): Augmented copies of each training clip that the probes
            are trained on, beside the clip itself.

    Raises:
        ValueError: If one has a value that it cannot have.
    """
    seeds: int = 3
    learning_rates: Sequence[float] = LEARNING_RATES
    penalties: Sequence[float] = PENALTIES
    epochs: int = 100
    batch_size: int = 256
    ks: Sequence[int] = (1, 20)
    temperature: Optional[float] = 0.07
    ratios: Sequence[float] = (0.01, 0.05, 0.1)
    subsets: int = 5
    semi_learning_rate: float = 0.1
    shots: Sequence[int] = (10, )
    views: int = 0

    def __post_init__(self) -> None:
        # Before features are extracted, or a suite has trained for hours.
        for name, (what, is_right) in {**_RULES, **_LIST_RULES}.items():
            value = getattr(self, name)
            values = value if name in _LIST_RULES else [value]
            if not isinstance(values, Sequence) or not values:
                raise ValueError(f'{name}={values!r} must be a list with one '
                                 'or more numbers')
            wrong = [x for x in values if not is_right(x)]
            if wrong:
                raise ValueError(f'{name}: {wrong[0]!r} must be {what}')
            if len(set(values)) < len(values):
                raise ValueError(f'{name}={list(values)} has a number twice')


@dataclass
class Scores:
    """Figures of one encoder with one read-out.

    Args:
        values (dict[str, list[float]]): For each metric, one value a run,
            between 0 and 1.
        notes (dict[str, Any]): How they came about: learning rates, hashes
            of few-label subsets.
    """
    values: Dict[str, List[float]] = field(default_factory=dict)
    notes: Dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: Union[float, Tensor]) -> None:
        self.values.setdefault(name, []).append(float(value))


class Data(NamedTuple):
    """What probes are trained and tested on.

    Attributes:
        train (FeatureSet): The training clips.
        features (Tensor): ``(n, D)`` or ``(W, n, D)``; see
            :func:`train_probes`.
        labels (Tensor): ``(n,)``.
        tests (list[tuple[Tensor, Tensor]]): Features and labels of each test
            set.
        num_classes (int): Number of classes.
    """
    train: FeatureSet
    features: Tensor
    labels: Tensor
    tests: List[Tuple[Tensor, Tensor]]
    num_classes: int


class Probe(NamedTuple):
    """A way to put a linear layer on features, with all labels.

    Attributes:
        grid (Sequence[float]): Settings to choose from by
            cross-validation; one is taken as it is.
        fit (Callable): Features, labels, number of classes and settings in,
            a probe for each setting out.
        steps (Callable): Settings in, how often their fit calls ``on_step``.
        seeded (bool): Whether ``fit`` takes a seed.
    """
    grid: Sequence[float]
    fit: Callable[..., LinearProbes]
    steps: Callable[[Sequence[float]], int]
    seeded: bool


class FrozenEvaluator:
    """Runs protocols on the features of a training and a test set.

    The test set is read once for each figure and never to choose anything:
    the learning rate comes from a cross-validation over the subjects of the
    training set (see :func:`choose_groups`), and the weights from the last
    epoch.

    Args:
        settings (Settings): What to do.
        device (str): Where to compute.
    """

    def __init__(self, settings: Settings, device: str = 'cpu') -> None:
        self.settings = settings
        self.device = device

    def run(self,
            train: FeatureSet,
            tests: Sequence[FeatureSet],
            protocols: Sequence[str],
            seeds: Sequence[int],
            on_step: Callable[[], None] = lambda: None,
            views: Sequence[FeatureSet] = ()) -> List[Scores]:
        """Run protocols.

        Args:
            train (FeatureSet): The training set: gallery and labels.
            tests (Sequence[FeatureSet]): Test sets, all for the same probes.
            protocols (Sequence[str]): Of ``PROTOCOLS``.
            seeds (Sequence[int]): Seeds of the linear probe.
            on_step (Callable): Called after every epoch of a linear probe,
                after every logistic regression, and once for the
                neighbours; see :meth:`num_steps`.
            views (Sequence[FeatureSet]): The training set again, augmented,
                for the probes; see :func:`train_probes`.

        Returns:
            list[Scores]: The figures on each test set.
        """
        x, y = self._tensors(train)
        seen = x
        if views:
            seen = torch.stack([x, *(self._tensors(v)[0] for v in views)])
        data = Data(
            train,
            seen,
            y, [self._tensors(test) for test in tests],
            num_classes=1 + int(
                max(clips.labels.max() for clips in (train, *tests))))
        scores = [Scores() for _ in tests]
        for name, probe in self._probes(protocols, on_step).items():
            self._probe(scores, name, probe, data, seeds)
        if 'knn' in protocols or 'retrieval' in protocols:
            for score, test in zip(scores, data.tests):
                found = evaluate_neighbours(
                    x,
                    y,
                    *test,
                    ks=self.settings.ks if 'knn' in protocols else (),
                    temperature=self.settings.temperature,
                    retrieval='retrieval' in protocols)
                for name, value in found.items():
                    score.add(name, value)
            on_step()
        for name, how in self._few_labels(protocols):
            self._few(scores, name, how, data, on_step)
        return scores

    def num_steps(self, train: FeatureSet, protocols: Sequence[str],
                  num_seeds: int) -> int:
        """How often :meth:`run` calls ``on_step``."""
        settings = self.settings
        steps = int('knn' in protocols or 'retrieval' in protocols)
        for probe in self._probes(protocols).values():
            steps += probe.steps([0.]) * (num_seeds if probe.seeded else 1)
            if len(probe.grid) > 1:
                _, groups = choose_groups(train.subjects, train.recordings)
                folds = validation_folds(train.labels, groups)
                steps += probe.steps(probe.grid) * len(folds)
        few = self._few_labels(protocols)
        return steps + settings.epochs * len(few) * settings.subsets

    def _few_labels(self, protocols: Sequence[str]) -> List[tuple]:
        """Name and choice of labels of each few-label figure."""
        found: List[tuple] = []
        if 'semi' in protocols:
            found += [(f'semi_{100 * ratio:g}', dict(ratio=ratio))
                      for ratio in self.settings.ratios]
        if 'few' in protocols:
            found += [(f'few_{shots}', dict(shots=shots))
                      for shots in self.settings.shots]
        return found

    def _tensors(self, clips: FeatureSet) -> Tuple[Tensor, Tensor]:
        features, labels = map(torch.from_numpy,
                               (clips.features, clips.labels))
        return features.to(self.device), labels.to(self.device)

    def _probes(self,
                protocols: Sequence[str],
                on_step: Callable[[], None] = lambda: None
                ) -> Dict[str, Probe]:
        """The probes asked for, by the names of their figures."""
        settings = self.settings
        sgd = partial(
            train_probes,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            on_epoch=on_step)
        probes = dict(
            linear=Probe(settings.learning_rates, sgd,
                         lambda grid: settings.epochs, True),
            logistic=Probe(settings.penalties,
                           partial(fit_probes, on_fit=on_step), len, False))
        return {k: v for k, v in probes.items() if k in protocols}

    def _probe(self, scores: Sequence[Scores], name: str, probe: Probe,
               data: Data, seeds: Sequence[int]) -> None:
        chosen = probe.grid[0]
        note: Dict[str, Any] = {}
        if len(probe.grid) > 1:
            by, groups = choose_groups(data.train.subjects,
                                       data.train.recordings)
            folds = validation_folds(data.train.labels, groups)
            chosen, tried = choose_setting(
                lambda x, y, grid: probe.fit(x, y, data.num_classes, grid),
                data.features, data.labels, folds, probe.grid)
            note = dict(
                validation_accuracy={str(k): v for k, v in tried.items()},
                folds=len(folds),
                held_out_by=by,
                on_the_edge=chosen in (min(tried), max(tried)))
        for score in scores:
            score.notes[name] = {PROBES[name]: chosen, **note}
        runs = [dict(seed=s) for s in seeds] if probe.seeded else [{}]
        for how in runs:
            fitted = probe.fit(data.features, data.labels, data.num_classes,
                               [chosen], **how)
            for score, test in zip(scores, data.tests):
                top1, top5 = probe_accuracy(fitted, *test, topk=(1, 5))
                score.add(name, top1[0])
                score.add(f'{name}_top5', top5[0])

    def _few(self, scores: Sequence[Scores], name: str, how: Dict[str, Any],
             data: Data, on_step: Callable[[], None]) -> None:
        settings = self.settings
        names = data.train.names.tolist()
        subsets = []
        for subset in range(settings.subsets):
            kept = choose_few_labels(
                names, data.train.labels.tolist(), subset=subset, **how)
            chosen = torch.tensor(kept, device=data.labels.device)
            probes = train_probes(
                data.features[..., chosen, :],
                data.labels[chosen],
                data.num_classes, [settings.semi_learning_rate],
                seed=subset,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                on_epoch=on_step)
            for score, test in zip(scores, data.tests):
                score.add(name, probe_accuracy(probes, *test)[0])
            subsets.append(
                dict(
                    subset=subset,
                    num_clips=len(kept),
                    sha256=hash_clips([names[i] for i in kept])))
        for score in scores:
            score.notes[name] = dict(
                learning_rate=settings.semi_learning_rate, subsets=subsets)
