# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The frozen evaluation of a cell, in a process of its own.

``python -m skel_ssl.benchmark.frozen REQUEST.json RESULT.json``
"""
import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping

from mmengine.config import Config
from mmengine.logging import MMLogger

from skel_ssl.evaluation.encoders import (
    Encoder,
    pretrained_encoder,
    random_encoder,
    raw_encoder,
)
from skel_ssl.evaluation.evaluate import Evaluation, evaluate_encoders
from skel_ssl.evaluation.feature_cache import FeatureCache
from skel_ssl.evaluation.frozen import Settings
from skel_ssl.utils.cli import run
from skel_ssl.utils.files import write_json

from .configs import read_config


def make_encoder(cfg: Config, request: Mapping[str, Any]) -> Encoder:
    """The encoder that a request asks for."""
    kind, persons = request['encoder'], request['persons']
    if kind == 'raw':
        return raw_encoder()
    if kind == 'random':
        return random_encoder(cfg, request['seed'], persons)
    return pretrained_encoder(cfg, request['checkpoint'], persons)


def evaluate(request: Mapping[str, Any]) -> Dict[str, Any]:
    """The frozen evaluation of one encoder, on each of some tests.

    Args:
        request (dict): ``config``, ``options``, ``tests``, ``encoder``,
            ``checkpoint``, ``seed``, ``protocols``, ``readouts``,
            ``persons``, ``settings``, ``num_workers``, and ``cache``, a
            folder that is removed in the end.

    Returns:
        dict: ``figures``, one for each test, read-out and metric, ``notes``
        and ``diagnostics`` of each test and read-out, ``data`` of each test,
        and ``warnings``.
    """
    cfg = read_config(request['config'], request['options'])
    encoder = make_encoder(cfg, request)
    cache = FeatureCache(request['cache'])
    found: Dict[str, Any] = dict(figures=[], runs=[], data={}, warnings=[])
    evaluations = evaluate_encoders(
        cfg, [encoder],
        request['protocols'],
        request['readouts'],
        request['persons'],
        Settings(**request['settings']),
        cache,
        request['num_workers'],
        tests=request['tests'])
    for test, evaluation in evaluations.items():
        found['figures'] += figures_of(evaluation, test)
        found['runs'] += [
            dict(test=test, readout=one.readout, notes=one.scores.notes,
                 diagnostics=one.diagnostics) for one in evaluation.runs
        ]
        found['data'][test] = evaluation.data
        found['warnings'] += [f'{test}: {x}' for x in evaluation.warnings]
    found['encoder'] = dict(kind=encoder.kind, **encoder.about)
    shutil.rmtree(cache.folder)
    return found


def figures_of(evaluation: Evaluation, test: str) -> List[Dict[str, Any]]:
    """The raw values of an evaluation of one encoder."""
    data = evaluation.data
    return [
        dict(
            test=test,
            readout=one.readout,
            metric=metric,
            state='reproduced',
            values=values,
            num_clips=data['test']['num_clips'],
            num_classes=data['train']['num_classes'])
        for one in evaluation.runs
        for metric, values in one.scores.values.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('request', type=Path)
    parser.add_argument('result', type=Path)
    args = parser.parse_args()
    # Building a model prints every parameter at the level of information.
    MMLogger.get_instance('benchmark', log_level='WARNING')
    request = json.loads(args.request.read_text(encoding='utf-8'))
    write_json(args.result, evaluate(request))


if __name__ == '__main__':
    run(main)
