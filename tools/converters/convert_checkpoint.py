# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert a public checkpoint of Skeleton2vec, MAMP, MAE or HA-CM.

Files of pre-training, of linear probes and of fine-tuning. Every weight is
accounted for, and the config that it fits is named.
"""
import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Dict, List, Tuple

import torch
from rich.console import Console
from rich.table import Table

import skel_ssl
from skel_ssl.apis.checkpoint_sizes import ConfigMatch
from skel_ssl.apis.convert_checkpoint import (
    SOURCES,
    Conversion,
    Entry,
    convert_checkpoint,
)
from skel_ssl.utils.cli import run
from skel_ssl.utils.files import replacing

KIND_NAMES = dict(
    pretrain='pre-training',
    encoder='an encoder alone',
    linear='linear probe',
    finetune='fine-tuned classifier')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint', type=Path, metavar='SRC', help='the public file')
    parser.add_argument('--out', type=Path, help='the .pth file to write')
    parser.add_argument(
        '--source',
        choices=SOURCES,
        help='whose file it is; by default the names of the weights tell')
    parser.add_argument(
        '--dry-run', action='store_true', help='show all, write nothing')
    parser.add_argument(
        '--all-weights',
        action='store_true',
        help='list every weight instead of groups of them')
    args = parser.parse_args()
    if args.out is None and not args.dry_run:
        parser.error('say where to write with --out, or give --dry-run')
    if args.out is not None and args.out.exists() and args.out.samefile(
            args.checkpoint):
        parser.error(f'--out {args.out} is the file to convert')
    return args


def group_of(entry: Entry) -> Tuple[str, str]:
    """What an entry is counted with: where it went, or why it did not."""
    if not entry.ours:
        return '', entry.reason
    if entry.ours.startswith('target.teacher.'):
        return 'target.teacher.module.*', ''
    parts = entry.ours.split('.')
    return '.'.join(parts[:2] + ['*'] * (len(parts) > 2)), ''


def accounting(entries: List[Entry], every: bool) -> Table:
    """What became of the weights of the file."""
    table = Table(title='weights of the file')
    table.add_column('in the file', overflow='fold')
    table.add_column('here', overflow='fold')
    table.add_column('tensors', justify='right')
    table.add_column('numbers', justify='right')
    groups: Dict[Tuple[str, str], List[Entry]] = {}
    for entry in entries:
        key = (entry.theirs, '') if every else group_of(entry)
        groups.setdefault(key, []).append(entry)
    for group in groups.values():
        names = [entry.theirs for entry in group]
        shown = ', '.join(names) if len(
            group) < 3 else os.path.commonprefix(names) + '*'
        ours, reason = (group[0].ours,
                        group[0].reason) if every else group_of(group[0])
        table.add_row(shown, ours or f'[yellow]left out:[/] {reason}',
                      str(len(group)), f'{sum(e.numel for e in group):,}')
    return table


def options_text(match: ConfigMatch, **more: object) -> str:
    """The --cfg-options of a command, or nothing."""
    options = {**match.options, **more}
    words = [f'{name}={value}' for name, value in options.items()]
    return f' --cfg-options {" ".join(words)}' if words else ''


def next_command(conversion: Conversion, out: str) -> str:
    """What to run with the converted file."""
    if conversion.sizes.kind in ('pretrain', 'encoder'):
        match = conversion.downstream or conversion.config
        return (f'python tools/train.py {match.name} --pretrained {out}'
                f'{options_text(match)}')
    match = conversion.config
    as_published = {'model.backbone.skip_empty_persons': False}
    return (f'python tools/test.py {match.name} {out}'
            f'{options_text(match, **as_published)}')


def summary(conversion: Conversion) -> Table:
    """What the file is, and which config it fits."""
    sizes, match = conversion.sizes, conversion.config
    table = Table(title='the model', show_header=False)
    table.add_row('source', conversion.source)
    table.add_row('kind', KIND_NAMES[sizes.kind])
    table.add_row(
        'encoder', f'width {sizes.width}, {sizes.depth} blocks, '
        f'MLP x{sizes.mlp_ratio:g}, '
        f'{"with" if sizes.layer_scale else "without"} LayerScale')
    table.add_row(
        'clips', f'{sizes.frames} frames in {sizes.segments} segments of '
        f'{sizes.patch_len}, {sizes.joints} joints of {sizes.coordinates} '
        'coordinates')
    if sizes.decoder_depth is not None:
        table.add_row(
            'decoder', f'width {sizes.decoder_width}, {sizes.decoder_depth} '
            f'blocks, predicts {sizes.target_width} numbers a token')
    if sizes.classes is not None:
        hidden = f', {sizes.hidden} hidden' if sizes.hidden else ''
        table.add_row('head', f'{sizes.classes} classes{hidden}')
    if conversion.epoch is not None:
        table.add_row('epoch', str(conversion.epoch))
    table.add_row('config', match.name + options_text(match))
    if match.also:
        label = 'as near as it' if match.options else 'fits as well'
        table.add_row(label, ', '.join(match.also))
    return table


def main() -> None:
    args = parse_args()
    conversion = convert_checkpoint(args.checkpoint, args.source)
    console = Console(soft_wrap=False, highlight=False)
    console.print(accounting(conversion.entries, args.all_weights))
    counts = Counter(bool(entry.ours) for entry in conversion.entries)
    print(f'{len(conversion.entries)} weights: {counts[True]} converted, '
          f'{counts[False]} left out, 0 unknown')
    if conversion.beside:
        print('beside the weights, left out: ' + ', '.join(conversion.beside))
    console.print(summary(conversion))
    for note in conversion.notes:
        print(f'note: {note}')
    if args.dry_run:
        print('dry run: nothing was written')
    else:
        checkpoint = conversion.checkpoint()
        checkpoint['meta']['skel_ssl_version'] = skel_ssl.__version__
        checkpoint['meta']['file'] = args.checkpoint.name
        with replacing(args.out) as temporary:
            torch.save(checkpoint, temporary)
        print(f'wrote {args.out}')
    print(f'next: {next_command(conversion, str(args.out or "OUT.pth"))}')


if __name__ == '__main__':
    run(main)
