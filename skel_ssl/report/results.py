# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the run is worth: evaluations and tests."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from skel_ssl.evaluation.predictions import (
    Predictions,
    calibrate,
    confusion_matrix,
    find_collapse,
    mean_class_accuracy,
    per_class_accuracy,
    top_k_accuracy,
    wilson_interval,
)
from skel_ssl.evaluation.report import (
    TITLES,
    Figure,
    is_extra,
    metric_title,
)
from skel_ssl.visualization.predictions import draw_confusion_matrix

from .html import (
    Html,
    Section,
    absent,
    code,
    figure,
    join,
    source,
    table,
    tag,
    warning,
)
from .pictures import image, png_bytes

_NUM_LISTED = 10  # confusions
_MOST_NUMBERS = 25  # classes up to which cells have numbers to be read


def read_figures(record: Mapping[str, Any]) -> List[Figure]:
    """The figures of a record of tools/evaluate.py."""
    return [Figure(f['encoder'], f['readout'], f['metric'], f['values'],
                   f['num_clips']) for f in record['figures']]


def evaluation_table(record: Mapping[str, Any]) -> Html:
    """A row for each read-out and metric, the leading encoder first."""
    figures = read_figures(record)
    kinds = [kind for kind in reversed(TITLES)
             if any(f.kind == kind for f in figures)]
    leading = kinds[0]
    cells: Dict[str, Dict[str, Dict[str, Figure]]] = {}
    # The read-outs of the leading encoder come first.
    for found in sorted(figures, key=lambda f: kinds.index(f.kind)):
        if not is_extra(found.metric):
            metrics = cells.setdefault(found.readout, {})
            metrics.setdefault(found.metric, {})[found.kind] = found
    rows: List[tuple] = []
    for readout, metrics in cells.items():
        rows.append((tag('b', f'read-out: {readout}'), *[''] * len(kinds), ''))
        for metric, row in metrics.items():
            interval = leading in row and row[leading].interval
            first, *others = (row[kind].text() if kind in row else ''
                              for kind in kinds)
            between = '{:.1f} – {:.1f}'.format(
                *(100 * x for x in interval)) if interval else ''
            rows.append((metric_title(metric), tag('b', first), between,
                         *others))
    chance = f'{100 / record["data"]["train"]["num_classes"]:.1f}'
    rows.append(('chance', chance, '', *[chance] * (len(kinds) - 1)))
    first, *others = (TITLES[kind].replace('\n', ' ') for kind in kinds)
    return table(('protocol', first, '95 % interval', *others), rows)


def _about_evaluation(record: Mapping[str, Any]) -> Html:
    """How the table is to be read."""
    data = record['data']
    parts = [f'{data[part]["num_clips"]} {part} clips '
             f'({data[part]["split"]})' for part in ('train', 'test')]
    found = record.get('environment', {})
    machine = ', '.join(f'{key} {found[key][:12]}' for key in
                        ('skel_ssl', 'git', 'torch', 'device') if key in found)
    return join(
        source('Frozen encoder; top-1 accuracy in %, except mAP and R@n; ± '
               'is the sample standard deviation over encoders of a kind, or '
               f'else over seeds. {", ".join(parts)}; persons: '
               f'{record["persons"]}.'),
        source('Command: ', code(record.get('command', 'not noted')),
               f' ({machine}).' if machine else '.'))


def read_checkpoints(record: Mapping[str, Any]) -> List[str]:
    """The weights that a record is about, each once."""
    encoders = [run['encoder'] for run in record['runs']]
    return list(dict.fromkeys(encoder['checkpoint'] for encoder in encoders
                              if 'checkpoint' in encoder))


def foreign_checkpoints(record: Mapping[str, Any],
                        work_dir: Path) -> List[str]:
    """Those of them that do not lie in a run's folder."""
    return [path for path in read_checkpoints(record)
            if Path(path).resolve().parent != work_dir.resolve()]


def evaluation_section(records: Sequence[Tuple[Path, Mapping[str, Any]]],
                       work_dir: Path, command: str) -> Section:
    """Evaluations of the frozen encoder.

    Args:
        records (Sequence[tuple]): Files, and what is in them.
        work_dir (Path): The run's folder.
        command (str): What makes a record.
    """
    title = 'Evaluation'
    if not records:
        return absent(
            'evaluation', title, 'There is no evaluation of the frozen '
            'encoder in the work dir, and none was given. This makes one:',
            command=command)
    parts: List[Any] = []
    for path, record in records:
        used = read_checkpoints(record)
        foreign = foreign_checkpoints(record, work_dir)
        parts.append(tag('h3', path.name))
        if foreign:
            parts.append(warning(
                'These weights are not of this work dir: ',
                code(', '.join(foreign))))
        parts += [warning(text) for text in record.get('warnings', ())]
        parts += [evaluation_table(record), _about_evaluation(record),
                  source('From ', code(path), '; weights: ',
                         code(', '.join(used) or 'none'), '.')]
    return Section('evaluation', title, join(*parts))


def predictions_section(dumps: Sequence[Tuple[Path, Predictions]],
                        refused: Sequence[str],
                        names: Optional[Sequence[str]],
                        command: str) -> Section:
    """The confusion matrix and the classes of dumped predictions.

    Args:
        dumps (Sequence[tuple]): Files, and what is in them.
        refused (Sequence[str]): Pickles of the work dir that are no dumps,
            and why.
        names (Sequence[str], optional): Names of the classes.
        command (str): What makes a dump.
    """
    title = 'Confusions'
    notes = [source('Not read: ', text) for text in refused]
    if not dumps:
        section = absent(
            'confusions', title, 'There are no predictions of a classifier in '
            'the work dir, and none were given. This makes them:',
            command=command)
        return Section('confusions', title, join(section.body, *notes), False)
    parts: List[Any] = []
    for path, predictions in dumps:
        own = list(names or ())
        if len(own) != predictions.num_classes:
            own = [f'class {i}' for i in range(predictions.num_classes)]
        parts += [tag('h3', path.name), _one_dump(path, predictions, own)]
    return Section('confusions', title, join(*parts, *notes))


def _one_dump(path: Path, predictions: Predictions,
              names: Sequence[str]) -> Html:
    matrix = confusion_matrix(predictions)
    low, high = wilson_interval(predictions)
    top1 = top_k_accuracy(predictions, 1)
    figures = table(
        ('clips', 'top-1', '95 % interval', 'top-5', 'mean of the classes',
         'calibration error'),
        [(len(predictions.labels), f'{top1:.1%}', f'{low:.1%} – {high:.1%}',
          f'{top_k_accuracy(predictions, 5):.1%}',
          f'{mean_class_accuracy(predictions):.1%}',
          f'{calibrate(predictions).error:.1%}')], 0)
    winner = find_collapse(predictions)
    collapse = [] if winner is None else [warning(
        f'{matrix.sum(0)[winner]} of {len(predictions.labels)} clips are '
        f'taken for {names[winner]!r}: the predictions have collapsed.')]
    picture = image(
        png_bytes(draw_confusion_matrix(matrix, names), 100),
        f'Confusion matrix of {len(names)} classes, top-1 {top1:.1%}')
    numbers = ('per cent of the true class in the cells'
               if len(names) <= _MOST_NUMBERS else 'darker is more')
    return join(
        figures, *collapse,
        figure(picture, f'Rows are true classes; {numbers}. From ', code(path),
               '; larger: ',
               code(f'python tools/analysis/analyse_predictions.py {path}'),
               wide=True),
        _confusions(matrix, names), _classes(predictions, matrix, names))


def _confusions(matrix: np.ndarray, names: Sequence[str]) -> Html:
    """The most frequent mistakes."""
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind='stable')[:_NUM_LISTED]
    rows = [(names[t], names[p], wrong[t, p],
             f'{wrong[t, p] / matrix[t].sum():.0%}')
            for t, p in zip(*np.unravel_index(order, wrong.shape))
            if wrong[t, p]]
    if not rows:
        return Html()
    return join(tag('h3', 'Most frequent confusions'),
                table(('class', 'taken for', 'clips', 'of the class'), rows,
                      2))


def _classes(predictions: Predictions, matrix: np.ndarray,
             names: Sequence[str]) -> Html:
    """Accuracy of each class, the worst first."""
    accuracy = per_class_accuracy(predictions)
    order = [i for i in np.argsort(accuracy, kind='stable')
             if not np.isnan(accuracy[i])]
    rows = [(names[i], matrix[i].sum(), f'{accuracy[i]:.1%}') for i in order]
    return tag('details', tag('summary', 'Accuracy of each class'),
               table(('class', 'clips', 'accuracy'), rows))
