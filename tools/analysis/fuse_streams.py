# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Late fusion of streams: the weighted mean of their probabilities.

Each dump is what "tools/test.py CONFIG CKPT --stream b --dump b.pkl" wrote.
"""
import argparse
from typing import List

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skel_ssl.evaluation.predictions import (
    Predictions,
    align,
    default_weights,
    fuse,
    load_predictions,
    mean_class_accuracy,
    save_predictions,
    top_k_accuracy,
    wilson_interval,
)
from skel_ssl.utils.cli import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dumps', nargs='+', metavar='DUMP')
    parser.add_argument(
        '--weights',
        nargs='+',
        type=float,
        metavar='W',
        help='weight of each dump; default: equal, and 2 2 1 1 for four, '
        'which are to be in the order j b jm bm')
    parser.add_argument(
        '--out',
        metavar='FUSED',
        help='write the fused predictions to this .pkl file, as '
        'tools/test.py --dump does')
    return parser.parse_args()


def row(predictions: Predictions) -> List[str]:
    """Top-1, its interval, top-5 and mean class accuracy, in per cent."""
    low, high = wilson_interval(predictions)
    top1, top5 = (top_k_accuracy(predictions, k) for k in (1, 5))
    return [
        f'{100 * top1:.2f}', f'{100 * low:.2f} - {100 * high:.2f}',
        f'{100 * top5:.2f}', f'{100 * mean_class_accuracy(predictions):.2f}'
    ]


def main() -> None:
    args = parse_args()
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out {args.out}: give a .pkl file')
    weights = args.weights
    if weights is None:
        weights = default_weights(len(args.dumps))
    streams = align([load_predictions(dump) for dump in args.dumps],
                    args.dumps)
    fused = fuse(streams, weights)

    console = Console()
    if any(stream.names is None for stream in streams):
        console.print(
            'A dump has no names of clips: matched by their order, which the '
            'labels agree with.',
            style='yellow')
    table = Table(title=f'{len(fused.labels)} clips of '
                  f'{len(set(fused.labels.tolist()))} classes, per cent')
    table.add_column('predictions', overflow='fold')
    for name in ('weight', 'top-1', '95 % interval', 'top-5', 'mean class'):
        table.add_column(name, justify='right', no_wrap=True)
    for dump, weight, stream in zip(args.dumps, weights, streams):
        table.add_row(escape(dump), f'{weight:g}', *row(stream))
    table.add_section()
    table.add_row('fusion', '', *row(fused), style='bold')
    console.print(table)
    if args.out is not None:
        save_predictions(args.out, fused)
        console.print(
            f'wrote {args.out}', highlight=False, markup=False, soft_wrap=True)


if __name__ == '__main__':
    run(main)
