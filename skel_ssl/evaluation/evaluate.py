# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Evaluate a frozen encoder under all protocols, beside its floors."""
from dataclasses import dataclass
from functools import partial
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from rich.progress import Progress

from .collapse import collapsed, diagnose_features
from .encoders import FLOORS, Encoder, make_encoders
from .feature_cache import FeatureCache
from .feature_source import FeatureSource
from .features import FeatureSet
from .frozen import PROBES, PROTOCOLS, FrozenEvaluator, Scores, Settings

# Enough clips for the diagnostics; the singular values of more cost more
# than all the rest.
NUM_DIAGNOSED = 2048


@dataclass
class Run:
    """Figures of one encoder with one read-out.

    Args:
        encoder (Encoder): The encoder.
        readout (str): The read-out.
        scores (Scores): The figures.
        diagnostics (dict): See :func:`diagnose_features`; none of raw
            coordinates.
    """
    encoder: Encoder
    readout: str
    scores: Scores
    diagnostics: Dict[str, float]


@dataclass
class Evaluation:
    """Everything that an evaluation found.

    Args:
        runs (list[Run]): The figures.
        data (dict): The data sets: files, hashes, splits, numbers.
        settings (Settings): Of the protocols.
        protocols (list[str]): What was asked for.
        persons (str): The person pooling.
        warnings (list[str]): What a reader of the figures must know.
    """
    runs: List[Run]
    data: Dict[str, Any]
    settings: Settings
    protocols: List[str]
    persons: str
    warnings: List[str]


def evaluate_frozen(cfg: Config,
                    checkpoints: Sequence[str],
                    protocols: Sequence[str] = PROTOCOLS,
                    readouts: Sequence[str] = ('mean', ),
                    persons: str = 'valid',
                    floors: Sequence[str] = FLOORS,
                    settings: Optional[Settings] = None,
                    prefix: Optional[str] = None,
                    cache: Optional[FeatureCache] = None,
                    num_workers: int = 0,
                    progress: Optional[Progress] = None) -> Evaluation:
    """Run the protocols of a frozen encoder on cached features.

    Args:
        cfg (Config): A recognizer over the encoder, with training and test
            data: a config of ``configs/benchmarks/linear``, or any of
            MMAction2's for a skeleton backbone.
        checkpoints (Sequence[str]): Pre-trained weights; several if it was
            pre-trained with several seeds.
        protocols (Sequence[str]): ``'linear'``, ``'logistic'``, ``'knn'``,
            ``'retrieval'``, ``'semi'``, ``'few'``.
        readouts (Sequence[str]): See :func:`pool_tokens`.
        persons (str): ``'valid'`` or ``'all'``.
        floors (Sequence[str]): ``'raw'``, ``'random'``.
        settings (Settings, optional): Of the protocols.
        prefix (str, optional): See :func:`load_pretrained`.
        cache (FeatureCache, optional): Where features are kept.
        num_workers (int): Processes that load clips.
        progress (Progress, optional): Shows how far it is.

    Returns:
        Evaluation: The figures; :func:`skel_ssl.evaluation.report.make_table`
        shows them.

    Raises:
        ValueError: If something asked for does not exist or fits nothing.
    """
    settings = settings or Settings()
    _check('floors', floors, FLOORS)
    encoders = make_encoders(cfg, checkpoints, floors, settings.seeds, persons,
                             prefix)
    return evaluate_encoders(cfg, encoders, protocols, readouts, persons,
                             settings, cache, num_workers, progress)['test']


def evaluate_encoders(cfg: Config,
                      encoders: Sequence[Encoder],
                      protocols: Sequence[str] = PROTOCOLS,
                      readouts: Sequence[str] = ('mean', ),
                      persons: str = 'valid',
                      settings: Optional[Settings] = None,
                      cache: Optional[FeatureCache] = None,
                      num_workers: int = 0,
                      progress: Optional[Progress] = None,
                      tests: Optional[Mapping[str, Sequence[str]]] = None
                      ) -> Dict[str, Evaluation]:
    """The same for encoders that are there already, and on several test sets
    with the same probes.

    Args:
        cfg (Config): See :func:`evaluate_frozen`; its data.
        encoders (Sequence[Encoder]): One or more.
        protocols (Sequence[str]): See :func:`evaluate_frozen`.
        readouts (Sequence[str]): See :func:`pool_tokens`.
        persons (str): ``'valid'`` or ``'all'``.
        settings (Settings, optional): Of the protocols.
        cache (FeatureCache, optional): Where features are kept.
        num_workers (int): Processes that load clips.
        progress (Progress, optional): Shows how far it is.
        tests (dict[str, Sequence[str]], optional): Splits of the test sets
            by their names; None: ``'test'``, as the config has it.

    Returns:
        dict[str, Evaluation]: The figures on each test set.

    Raises:
        ValueError: If something asked for does not exist or fits nothing.
    """
    settings = settings or Settings()
    _check('protocols', protocols, PROTOCOLS)
    progress = progress or Progress(disable=True)
    source = FeatureSource(cfg, persons, cache, num_workers, tests=tests)
    evaluator = FrozenEvaluator(settings, source.device)
    names = [part for part in source.data if part != 'train']
    runs: Dict[str, List[Run]] = {name: [] for name in names}
    for encoder in encoders:
        wanted = {readout: list(protocols) for readout in readouts}
        if encoder.kind == 'raw':
            # Neighbours of raw coordinates have a classic read-out.
            found = [p for p in protocols if p in ('knn', 'retrieval')]
            wanted = {**({'flat': found} if found else {}), **wanted}
        train, *sets = (
            source.features(encoder, part, list(wanted), progress)
            for part in ('train', *names))
        views = [
            source.features(encoder, 'train', list(wanted), progress, view)
            for view in range(1, settings.views + 1)
        ]
        for readout, asked in wanted.items():
            seeds = encoder.probe_seeds or range(settings.seeds)
            bar = progress.add_task(
                f'{encoder.kind}, {readout}',
                total=evaluator.num_steps(train[readout], asked, len(seeds)))
            scores = evaluator.run(
                train[readout], [clips[readout] for clips in sets],
                asked,
                seeds,
                on_step=partial(progress.advance, bar),
                views=[view[readout] for view in views])
            progress.remove_task(bar)
            for name, score, clips in zip(names, scores, sets):
                # Raw coordinates cannot collapse.
                figures = ({} if encoder.kind == 'raw' else diagnose(
                    clips[readout]))
                runs[name].append(Run(encoder, readout, score, figures))
    evaluations = {}
    for name, clips in zip(names, sets):
        parts = dict(train=train[readout], test=clips[readout])
        data = {
            part: dict(
                source.data['train' if part == 'train' else name],
                num_clips=len(known),
                num_classes=len(np.unique(known.labels)),
                num_subjects=len(set(known.subjects.tolist()) - {''}))
            for part, known in parts.items()
        }
        evaluations[name] = Evaluation(
            runs[name], data, settings, list(protocols), persons,
            warnings_of(runs[name], **parts))
    return evaluations


def _check(name: str, chosen: Sequence[str], known: Sequence[str]) -> None:
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise ValueError(f'{name}: there is no {unknown[0]!r}; choose of '
                         f'{known}')


def diagnose(clips: FeatureSet) -> Dict[str, float]:
    """Figures of collapse, see :func:`diagnose_features`."""
    step = -(-len(clips) // NUM_DIAGNOSED)
    return diagnose_features(torch.from_numpy(clips.features[::step]))


def warnings_of(runs: Sequence[Run], train: FeatureSet,
                test: FeatureSet) -> List[str]:
    """What a reader of the figures must know.

    Args:
        runs (Sequence[Run]): The figures.
        train (FeatureSet): Training clips, of any encoder.
        test (FeatureSet): Test clips, likewise.
    """
    warnings = []
    for run in runs:
        reason = run.diagnostics and collapsed(run.diagnostics)
        if run.encoder.kind == 'pretrained' and reason:
            warnings.append(
                f'COLLAPSED: {run.encoder.about["checkpoint"]}, read-out '
                f'{run.readout!r}: {reason}')
    trained = int(np.isin(test.names, train.names).sum())
    if trained:
        warnings.append(
            f'{trained} of {len(test.names)} test clips are training clips, '
            'too, by their names: no figure says how others would do')
    absent = np.setdiff1d(test.labels, train.labels)
    if len(absent):
        lost = int(np.isin(test.labels, absent).sum())
        warnings.append(
            f'classes {absent.tolist()} have no training clip: their {lost} '
            'test clips count as wrong in every protocol')
    probes = [r.scores.notes[name] for r in runs for name in PROBES
              if name in r.scores.notes]
    others = {p.get('held_out_by') for p in probes} & {'recording', 'clip'}
    if others:
        warnings.append(
            'the subjects of the training clips are unknown (no "subject" in '
            'the annotations, no known kind of name), or there is but one: '
            f'settings of probes were chosen on held-out {others.pop()}s, not '
            'subjects')
    return warnings
