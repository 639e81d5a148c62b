# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a model gets right and wrong, from "tools/test.py ... --dump FILE"."""
import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skel_ssl.datasets import load_annotations
from skel_ssl.evaluation.predictions import (
    Predictions,
    calibrate,
    confusion_matrix,
    find_collapse,
    load_predictions,
    mean_class_accuracy,
    per_class_accuracy,
    top_k_accuracy,
    wilson_interval,
)
from skel_ssl.utils.cli import run
from skel_ssl.visualization.predictions import (
    draw_confusion_matrix,
    draw_per_class_accuracy,
    draw_reliability,
)

NUM_LISTED = 10


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', type=Path, metavar='DUMP')
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='where pictures and predictions.json go; default: a folder '
        'beside the dump, named after it')
    parser.add_argument(
        '--classes',
        type=Path,
        metavar='FILE',
        help='names of the classes: a text file with one a line, or a data '
        "pickle with the key 'classes'")
    return parser.parse_args()


def read_class_names(path: Optional[Path], num_classes: int) -> List[str]:
    """Names of the classes; "class 0" and so on if there is no file.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it has no names, or another number of them.
    """
    if path is None:
        return [f'class {i}' for i in range(num_classes)]
    if path.suffix in ('.pkl', '.pickle'):
        data = load_annotations(path)
        if 'classes' not in data:
            raise ValueError(f"{path} has no 'classes', only {sorted(data)}; "
                             'give a text file with one name a line')
        names = [str(name) for name in data['classes']]
    else:
        lines = path.read_text(encoding='utf-8').splitlines()
        names = [line.strip() for line in lines if line.strip()]
    if len(names) != num_classes:
        raise ValueError(f'{path} names {len(names)} classes, the dump has '
                         f'scores for {num_classes}')
    return names


def list_confusions(matrix: np.ndarray) -> List[Tuple[int, int, int]]:
    """The most frequent mistakes, as (true, predicted, clips)."""
    wrong = matrix - np.diag(matrix.diagonal())
    order = np.argsort(-wrong, axis=None, kind='stable')[:NUM_LISTED]
    pairs = zip(*np.unravel_index(order, wrong.shape))
    return [(int(t), int(p), int(wrong[t, p])) for t, p in pairs
            if wrong[t, p]]


def summarise(predictions: Predictions, names: List[str]) -> Dict[str, Any]:
    """All figures, as JSON can hold them: null for what does not exist."""

    def plain(values: np.ndarray) -> List[Optional[float]]:
        return [None if np.isnan(v) else float(v) for v in values]

    matrix = confusion_matrix(predictions)
    calibration = calibrate(predictions)
    return dict(
        num_clips=len(predictions.labels),
        top1=top_k_accuracy(predictions, 1),
        top1_interval_95=wilson_interval(predictions),
        top5=top_k_accuracy(predictions, 5),
        mean_class=mean_class_accuracy(predictions),
        collapsed_to=find_collapse(predictions),
        classes=names,
        clips=matrix.sum(1).tolist(),
        accuracy=plain(per_class_accuracy(predictions)),
        confusion=matrix.tolist(),
        calibration=dict(
            error=calibration.error,
            clips=calibration.counts.tolist(),
            confidence=plain(calibration.confidence),
            accuracy=plain(calibration.accuracy)))


def report(console: Console, found: Dict[str, Any]) -> None:
    """Print the figures, the worst classes and the usual confusions."""
    names, clips, accuracy = (
        found[key] for key in ('classes', 'clips', 'accuracy'))
    low, high = found['top1_interval_95']
    console.print(
        f'{found["num_clips"]} clips: top-1 {found["top1"]:.2%} '
        f'(95 % interval {low:.2%} - {high:.2%}), top-5 {found["top5"]:.2%}, '
        f'mean class {found["mean_class"]:.2%}, expected calibration error '
        f'{found["calibration"]["error"]:.2%}',
        highlight=False)
    if found['collapsed_to'] is not None:
        winner = found['collapsed_to']
        share = sum(row[winner] for row in found['confusion'])
        console.print(
            f'warning: {share} of {found["num_clips"]} clips are taken for '
            f'{names[winner]!r} - the predictions have collapsed',
            style='bold red',
            markup=False)
    absent = [name for name, count in zip(names, clips) if not count]
    if absent:
        more = ', ...' if len(absent) > NUM_LISTED else ''
        console.print(
            f'no clips of {len(absent)} classes: '
            f'{", ".join(absent[:NUM_LISTED])}{more}',
            highlight=False,
            markup=False)
    table = Table('class', title='worst classes', title_justify='left')
    table.add_column('clips', justify='right')
    table.add_column('accuracy', justify='right')
    present = [i for i, count in enumerate(clips) if count]
    for i in sorted(present, key=lambda i: accuracy[i])[:NUM_LISTED]:
        table.add_row(escape(names[i]), str(clips[i]), f'{accuracy[i]:.1%}')
    console.print(table)
    confusions = list_confusions(np.array(found['confusion']))
    if confusions:
        table = Table(
            'class',
            'taken for',
            title='most frequent confusions',
            title_justify='left')
        table.add_column('clips', justify='right')
        table.add_column('of the class', justify='right')
        for true, predicted, count in confusions:
            table.add_row(
                escape(names[true]), escape(names[predicted]), str(count),
                f'{count / clips[true]:.1%}')
        console.print(table)


def main() -> None:
    args = parse_args()
    predictions = load_predictions(args.dump)
    names = read_class_names(args.classes, predictions.num_classes)
    found = summarise(predictions, names)
    console = Console()
    report(console, found)

    out_dir = args.out_dir or args.dump.with_name(f'{args.dump.stem}_analysis')
    out_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, allow_nan=False)
    (out_dir / 'predictions.json').write_text(text)
    title = f'{args.dump.stem}: top-1 {found["top1"]:.1%}'
    matrix = np.array(found['confusion'])
    figures = {
        'confusion_matrix.png':
        draw_confusion_matrix(matrix, names, title),
        'per_class_accuracy.png':
        draw_per_class_accuracy(
            per_class_accuracy(predictions), matrix.sum(1), names, title),
        'reliability.png':
        draw_reliability(calibrate(predictions), title)
    }
    for file, figure in figures.items():
        figure.savefig(out_dir / file, dpi=130)
    console.print(
        f'wrote {", ".join(figures)} and predictions.json to {out_dir}',
        highlight=False,
        markup=False,
        soft_wrap=True)


if __name__ == '__main__':
    run(main)
