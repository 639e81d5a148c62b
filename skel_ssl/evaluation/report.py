# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""An evaluation as a table for people and as a record for later."""
import dataclasses
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from rich.table import Table

from .evaluate import Evaluation, Run
from .frozen import PROTOCOL_VERSION
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
        'knn': f'kNN k={number[1:]}',
        'map': 'mAP',
        'recall': f'R@{number}',
        'semi': f'linear, {number} % labels',
    }[kind]


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
    table = Table(title=title, title_justify='left')
    table.add_column('read-out')
    table.add_column('protocol', no_wrap=True)
    for kind in kinds:
        table.add_column(TITLES[kind], justify='right', no_wrap=True)
    n = evaluation.data['test']['num_clips']
    table.add_column(f'95 %\n(n={n})', justify='right', no_wrap=True)
    rows: Dict[tuple, Dict[str, Figure]] = {}
    for figure in figures:
        if figure.metric != 'linear_top5':
            place = (figure.readout, figure.metric)
            rows.setdefault(place, {})[figure.kind] = figure
    shown = None
    # The read-outs asked for come first, the raw coordinates' own one last.
    order = list(dict.fromkeys(r.readout for r in evaluation.runs
                               if r.encoder.kind == kinds[-1]))
    order += [r for r, _ in rows if r not in order]
    for place in sorted(rows, key=lambda x: order.index(x[0])):
        (readout, metric), row = place, rows[place]
        if shown not in (None, readout):
            table.add_section()
        interval = row[kinds[-1]].interval if kinds[-1] in row else None
        table.add_row(
            readout if readout != shown else '', metric_title(metric),
            *(row[k].text() if k in row else '' for k in kinds),
            '' if interval is None else
            f'{100 * interval[0]:.1f}-{100 * interval[1]:.1f}')
        shown = readout
    chance = 100 / evaluation.data['train']['num_classes']
    table.add_section()
    table.add_row('', 'chance', *[f'{chance:.1f}'] * len(kinds), '',
                  style='dim')
    return table


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
    for run in pretrained:
        note = run.scores.notes.get('linear')
        if note and 'held_out_clips' in note:
            by = (f'subjects {", ".join(note["held_out_subjects"])}'
                  if note['held_out_by'] == 'subject' else 'clips')
            edge = ', the edge of the grid' * note['on_the_edge']
            lines.append(
                f'linear probe, {run.readout}: lr {note["learning_rate"]}'
                f'{edge}, chosen on held-out {by} '
                f'({note["held_out_clips"]} training clips); last epoch.')
    for run in pretrained:
        found = run.diagnostics
        lines.append(
            f'features, {run.readout}: effective rank {found["rank"]:.1f}, '
            f'centred {found["rank_centred"]:.1f} of {found["max_rank"]}; '
            f'mean cosine {found["cosine"]:.3f}; relative spread '
            f'{found["spread"]:.3f}.')
    return lines


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
