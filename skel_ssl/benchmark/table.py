# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The tables of a suite: accuracies, cost, and every single figure."""
from typing import Callable, Dict, List, Optional, Sequence

from skel_ssl.evaluation.frozen import PROBES
from skel_ssl.evaluation.report import metric_title

from .cost_table import cost_table
from .figures import (
    Figure,
    choose_readout,
    done_stages,
    find_figure,
    unlike_seeds,
    validation_accuracy,
)
from .rows import (
    NONE,
    NOT_RUN,
    Entry,
    Records,
    Row,
    Table,
    rows_of,
    stages_of_row,
    title_of,
)
from .suite import DataSet, Suite

# The classic read-out of raw coordinates for neighbours.
FLAT = 'flat'


def make_tables(suite: Suite, records: Records) -> List[Table]:
    """All tables of a suite.

    Args:
        suite (Suite): The suite.
        records (dict[Cell, dict]): The records that are there.
    """
    tables = []
    for data in suite.datasets:
        rows = rows_of(suite, data, records)
        for test in data.tests:
            tables.append(accuracy_table(suite, data, test, rows))
    tables.append(cost_table(suite, records))
    for data in suite.datasets:
        rows = rows_of(suite, data, records)
        tables += [every_figure(data, test, rows) for test in data.tests]
    return tables


def accuracy_table(suite: Suite, data: DataSet, test: str,
                   rows: Sequence[Row]) -> Table:
    """Methods by figures, for one test.

    Args:
        suite (Suite): The suite.
        data (DataSet): The data set.
        test (str): The name of the test.
        rows (Sequence[Row]): See :func:`rows_of`.
    """
    columns = columns_of(suite, rows)
    head = ['', *columns]
    lines = [[title_of(row), *(find(row, test)
                                 for find in columns.values())]
             for row in rows]
    figures = [figure for row in rows for stage in stages_of_row(row)
               for content in done_stages(row.records, stage)
               for figure in content.get('figures', ())
               if figure['test'] == test]
    title = f'{data.title}, {test}'
    notes = []
    if figures:
        classes = figures[0]['num_classes']
        lines.insert(0, [Entry('chance'),
                         *[Entry(f'{100 / classes:.1f}')] * len(columns)])
        splits = ' and '.join(data.tests[test])
        notes.append(f'{figures[0]["num_clips"]} test clips ({splits}), '
                     f'{classes} classes.')
    notes += sorted({
        f'{row.title}: {warning}' for row in rows
        for content in done_stages(row.records, row.stage)
        for warning in content.get('warnings', ())
        if warning.startswith(f'{test}: ')
    })
    for row in rows:
        for stage in stages_of_row(row):
            groups = unlike_seeds(row.records, stage)
            if len(groups) > 1:
                seeds = ' and '.join(', '.join(map(str, x)) for x in groups)
                notes.append(
                    f'{row.title}: not of one kind. {stage} of the seeds '
                    f'{seeds} had other settings or data: run the suite '
                    'again, or do not trust their mean.')
    return Table(title, head, lines, notes)


def columns_of(suite: Suite, rows: Sequence[Row]
               ) -> Dict[str, Callable[[Row, str], Entry]]:
    """What finds a cell of the table, by the title of the column: those that
    some method of the suite can have."""
    columns: Dict[str, Callable[[Row, str], Entry]] = {}
    if any(row.method.frozen for row in rows):
        for probe in (name for name in PROBES if name in suite.protocols):
            for readout in suite.readouts:
                columns[f'{probe}, {readout}'] = _frozen(probe, readout)
            if len(suite.readouts) > 1:
                columns[f'{probe}, best read-out'] = _chosen(suite, probe)
        if 'knn' in suite.protocols:
            k = min(suite.probe.ks)
            columns[metric_title(f'knn_k{k}')] = _chosen(suite, f'knn_k{k}')
        for metric in _few_metrics(suite):
            columns[metric_title(metric)] = _chosen(suite, metric)
    if any(row.method.finetune for row in rows):
        columns['fine-tuned'] = _finetuned
    return columns


def _few_metrics(suite: Suite) -> List[str]:
    found = []
    if 'few' in suite.protocols:
        found += [f'few_{shots}' for shots in suite.probe.shots]
    if 'semi' in suite.protocols:
        found += [f'semi_{100 * ratio:g}' for ratio in suite.probe.ratios]
    return found


def _frozen(metric: str, readout: str) -> Callable[[Row, str], Entry]:
    def find(row: Row, test: str) -> Entry:
        figure = find_figure(row.records, row.stage, test, readout, metric)
        return _entry(row, row.stage, row.method.frozen, figure)

    return find


def _chosen(suite: Suite, metric: str) -> Callable[[Row, str], Entry]:
    """The figure of the read-out that the training subjects chose: for a
    probe by that probe, for all else by the suite's first one. If they chose
    none, all else is of the first read-out."""
    probes = [metric, *suite.protocols]
    probe = next((name for name in probes if name in PROBES), 'linear')

    def find(row: Row, test: str) -> Entry:
        readout = choose_readout(row.records, row.stage, suite.readouts, probe)
        if (readout is None and metric in PROBES
                and done_stages(row.records, row.stage)):
            return Entry(NONE)  # a grid of one: nothing was cross-validated
        readout = readout or suite.readouts[0]
        if row.method.encoder == 'raw' and metric.startswith('knn'):
            readout = FLAT
        figure = find_figure(row.records, row.stage, test, readout, metric)
        named = readout if len(suite.readouts) > 1 else None
        return _entry(row, row.stage, row.method.frozen, figure, named)

    return find


def _finetuned(row: Row, test: str) -> Entry:
    figure = find_figure(row.records, 'finetune', test, None, 'finetune')
    config = row.method.finetune if row.finetuned else None
    return _entry(row, 'finetune', config, figure if config else None)


def _entry(row: Row, stage: str, config: Optional[str],
           figure: Optional[Figure], named: Optional[str] = None) -> Entry:
    if figure is None:
        if config is None:
            return Entry(NONE)
        failed = any(
            record['stages'].get(name, {}).get('state') == 'failed'
            for record in row.records for name in (stage, 'pretrain'))
        return Entry('failed' if failed else NOT_RUN)
    words = [accuracy_text(figure)]
    if named is not None:
        words.append(f'({named})')
    if len(figure.values) < row.expected:
        words.append(f'[{len(figure.values)} of {row.expected} seeds]')
    return Entry(' '.join(words), intervals_text(figure))


def accuracy_text(figure: Figure) -> str:
    """Per cent, with the spread over seeds."""
    mean = f'{100 * figure.mean:.1f}'
    return mean if figure.std is None else f'{mean} ± {100 * figure.std:.1f}'


def intervals_text(figure: Figure) -> str:
    """The 95 % intervals, per cent."""
    found = [('clips', figure.interval_of_clips),
             ('seeds', figure.interval_of_seeds)]
    return '95 %: ' + ', '.join(
        f'{name} {100 * pair[0]:.1f}–{100 * pair[1]:.1f}'
        for name, pair in found if pair is not None)


def every_figure(data: DataSet, test: str, rows: Sequence[Row]) -> Table:
    """All figures of a test, also those that the table leaves out."""
    lines = []
    for row in rows:
        places = dict.fromkeys(
            (stage, figure['readout'], figure['metric'])
            for stage in stages_of_row(row)
            for content in done_stages(row.records, stage)
            for figure in content.get('figures', ())
            if figure['test'] == test)
        for stage, readout, metric in places:
            figure = find_figure(row.records, stage, test, readout, metric)
            assert figure is not None, 'places are where figures are'
            held_out = [
                validation_accuracy(run, metric)
                for content in done_stages(row.records, stage)
                for run in content.get('runs', ())
                if (run['readout'], run['test']) == (readout, test)
            ]
            known = [x for x in held_out if x is not None]
            lines.append([
                title_of(row), Entry(readout or NONE), Entry(metric),
                Entry(accuracy_text(figure), intervals_text(figure)),
                Entry(', '.join(f'{100 * x:.1f}' for x in figure.values)),
                Entry(f'{100 * sum(known) / len(known):.1f}'
                      if known else NONE)
            ])
    return Table(f'Every figure: {data.title}, {test}',
                 ['', 'read-out', 'metric', 'mean', 'seeds', 'held out'],
                 lines, ['"held out": accuracy on held-out training clips, '
                         'by which the setting of the probe and the read-out '
                         'were chosen.'], folded=True)
