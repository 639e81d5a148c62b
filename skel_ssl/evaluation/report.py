# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""An evaluation as a table for people and as a record for later."""
import dataclasses
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from rich.table import Table

from .evaluate import Evaluation, Run
from .frozen import PROBES, PROTOCOL_VERSION
from .predictions import wilson

TITLES = {
    'raw': 'raw\ncoordinates',
    'random': 'random\nencoder',
    'pretrained': 'pre-trained\nencoder'
}


@dataclasses.dataclass
class Figure:
    """One cell: a metric of one kind of encoder with one read-out.

    Args:
        kind (str): ``'raw'``, ``'random'`` or ``'pretrained'``.
        readout (str): The read-out.
        metric (str): Such as ``'linear'`` or ``'knn_k1'``.
        values (list[list[float]]): One list for each encoder of the kind, one
            value for each run.
        num_clips (int): Test clips.
    """
    kind: str
    readout: str
    metric: str
    values: List[List[float]]
    num_clips: int

    @property
    def mean(self) -> float:
        return float(np.mean([np.mean(v) for v in self.values]))

    @property
    def std_encoders(self) -> Optional[float]:
        """Sample standard deviation over encoders (checkpoints, starts)."""
        return _std([float(np.mean(v)) for v in self.values])

    @property
    def std_runs(self) -> Optional[float]:
        """The same over the runs on one encoder, averaged over encoders."""
        spreads = [_std(v) for v in self.values]
        return None if None in spreads else float(np.mean(spreads))

    @property
    def interval(self) -> Optional[Sequence[float]]:
        """95 % Wilson interval of an accuracy on so many clips."""
        if self.metric == 'map':
            return None
        return wilson(round(self.mean * self.num_clips), self.num_clips)

    def text(self) -> str:
        """Per cent, with the spread over encoders, or else over runs."""
        spread = self.std_encoders
        if spread is None:
            spread = self.std_runs
        mean = f'{100 * self.mean:.1f}'
        return mean if spread is None else f'{mean} ± {100 * spread:.1f}'


def _std(values: Sequence[float]) -> Optional[float]:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def metric_title(metric: str) -> str:
    """How a metric is called in the table."""
    kind, _, number = metric.partition('_')
    return {
        'linear': 'linear',
        'logistic': 'logistic',
        'knn': f'kNN k={number[1:]}',
        'map': 'mAP',
        'recall': f'R@{number}',
        'semi': f'linear, {number} % labels',
        'few': f'linear, {number} clips a class',
    }[kind]


def is_extra(metric: str) -> bool:
    """Whether it is in the record, but in no table."""
    return metric.endswith('_top5')


def collect_figures(evaluation: Evaluation) -> List[Figure]:
    """The figures of all encoders of a kind, side by side."""
    figures: Dict[tuple, Figure] = {}
    num_clips = evaluation.data['test']['num_clips']
    for run in evaluation.runs:
        for metric, values in run.scores.values.items():
            place = (run.encoder.kind, run.readout, metric)
            figures.setdefault(place, Figure(*place, [], num_clips))
            figures[place].values.append(values)
    return list(figures.values())


def make_table(evaluation: Evaluation, title: str) -> Table:
    """The table: a row for each read-out and metric, a column for each kind.

    Args:
        evaluation (Evaluation): What was found.
        title (str): The title.
    """
    figures = collect_figures(evaluation)
    kinds = [k for k in TITLES if any(f.kind == k for f in figures)]
    leading = kinds[-1]  # whose interval is shown
    table = Table(title=title, title_justify='left')
    table.add_column('read-out, protocol', no_wrap=True)
    for kind in kinds:
        table.add_column(TITLES[kind], justify='right', no_wrap=True)
    n = evaluation.data['test']['num_clips']
    table.add_column(f'95 %\n(n={n})', justify='right', no_wrap=True)
    # The read-outs asked for come first, the raw coordinates' own one last.
    readouts = dict.fromkeys(f.readout for f in figures if f.kind == leading)
    readouts.update(dict.fromkeys(f.readout for f in figures))
    for readout in readouts:
        table.add_row(readout, style='bold')
        rows: Dict[str, Dict[str, Figure]] = {}
        for figure in figures:
            if figure.readout == readout and not is_extra(figure.metric):
                rows.setdefault(figure.metric, {})[figure.kind] = figure
        for metric, row in rows.items():
            found = row[leading].interval if leading in row else None
            table.add_row(
                f'  {metric_title(metric)}',
                *(row[k].text() if k in row else '' for k in kinds),
                '{:.1f}-{:.1f}'.format(*(100 * x for x in found))
                if found else None)
        table.add_section()
    chance = 100 / evaluation.data['train']['num_classes']
    table.add_row('chance', *[f'{chance:.1f}'] * len(kinds), style='dim')
    return table


def _range(values: Sequence[float], digits: int) -> str:
    low, high = (f'{x:.{digits}f}' for x in (min(values), max(values)))
    return low if low == high else f'{low}-{high}'


def footnotes(evaluation: Evaluation) -> List[str]:
    """How the table is to be read, a line each."""
    train, test = evaluation.data['train'], evaluation.data['test']
    pretrained = [r for r in evaluation.runs if r.encoder.kind == 'pretrained']
    checkpoints = {r.encoder.about['checkpoint'] for r in pretrained}
    seeds = evaluation.settings.seeds
    lines = [
        f'{train["num_clips"]} training clips ({train["split"]}), '
        f'{test["num_clips"]} test clips ({test["split"]}); persons: '
        f'{evaluation.persons}; top-1 accuracy in %, except mAP and R@n.'
    ]
    if len(checkpoints) > 1:
        lines.append(f'±: over {len(checkpoints)} checkpoints (pre-trained) '
                     f'and {seeds} starts (random encoder).')
    else:
        lines.append(f'±: over {seeds} seeds of the probe or subsets of the '
                     f'labels (pre-trained), {seeds} starts (random encoder);'
                     ' more pre-training seeds: give more checkpoints.')
    for readout in dict.fromkeys(run.readout for run in pretrained):
        runs = [run for run in pretrained if run.readout == readout]
        for probe in PROBES:
            notes = [run.scores.notes[probe] for run in runs
                     if probe in run.scores.notes]
            if len(notes) == len(runs):
                lines.append(f'{probe}, {readout}: ' + _settings(probe, notes))
        found = {
            key: _range([run.diagnostics[key] for run in runs], digits)
            for key, digits in (('rank', 1), ('rank_centred', 1),
                                ('cosine', 2), ('spread', 2))
        }
        lines.append(
            'features, {readout}: effective rank {rank}, centred '
            '{rank_centred} of {max_rank}; mean cosine {cosine}; relative '
            'spread {spread}.'.format(
                readout=readout,
                max_rank=runs[0].diagnostics['max_rank'],
                **found))
    return lines


def _settings(probe: str, notes: Sequence[Dict[str, Any]]) -> str:
    """The settings of probes, for a footnote."""
    name, end = dict(
        linear=('lr', 'last epoch'), logistic=('penalty', 'optimum'))[probe]
    values = ', '.join(
        f'{note[PROBES[probe]]:g}' +
        ' (edge of the grid)' * note.get('on_the_edge', False)
        for note in notes)
    return f'{name} {values}{_chosen_by(notes[0])}; {end}.'


def _chosen_by(note: Dict[str, Any]) -> str:
    """How a setting was chosen, for a footnote."""
    if 'held_out_by' not in note:
        return ', given'
    return (f', chosen by {note["folds"]}-fold cross-validation over training '
            f'{note["held_out_by"]}s')


def as_record(evaluation: Evaluation) -> Dict[str, Any]:
    """The evaluation as plain data, for a JSON file."""

    def encoder(run: Run) -> dict:
        return dict(kind=run.encoder.kind, **run.encoder.about)

    figures = []
    for figure in collect_figures(evaluation):
        figures.append(
            dict(
                encoder=figure.kind,
                readout=figure.readout,
                metric=figure.metric,
                state='reproduced',
                mean=figure.mean,
                std_over_encoders=figure.std_encoders,
                std_over_runs=figure.std_runs,
                interval_95=figure.interval,
                num_clips=figure.num_clips,
                values=figure.values))
    return dict(
        protocol=PROTOCOL_VERSION,
        figures=figures,
        data=evaluation.data,
        protocols=evaluation.protocols,
        persons=evaluation.persons,
        settings=dataclasses.asdict(evaluation.settings),
        runs=[
            dict(
                encoder=encoder(run),
                readout=run.readout,
                notes=run.scores.notes,
                diagnostics=run.diagnostics) for run in evaluation.runs
        ],
        warnings=evaluation.warnings)
