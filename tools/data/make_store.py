# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Make a ragged store of a pose pickle: loads faster, needs no memory.

A config with another ann_file then trains on the same samples, bit by bit.
"""
import argparse
from pathlib import Path
from typing import Any, Dict, List

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track
from rich.table import Table

from skel_ssl.datasets import RaggedStore, load_annotations, write_store
from skel_ssl.datasets.ragged_store import hash_file
from skel_ssl.datasets.ragged_writer import check_target
from skel_ssl.datasets.transforms import PoseTransform
from skel_ssl.registry import TRANSFORMS
from skel_ssl.utils.cli import run

NUM_SHOWN = 5


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'pickle', type=Path, nargs='?', metavar='IN.pkl', help='the pickle')
    parser.add_argument(
        'store', type=Path, metavar='OUT.store', help='the folder to write')
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument(
        '--config',
        metavar='F',
        help='do what the data pipelines of this config begin with '
        '(PosePreNormalize3D) once and for all; the store is then for '
        'configs whose pipelines begin alike')
    begin.add_argument(
        '--no-normalise',
        action='store_true',
        help='store the clips as they are, for any config')
    begin.add_argument(
        '--verify',
        action='store_true',
        help='write nothing, compare every byte of OUT.store with its SHA-256')
    parser.add_argument(
        '--dtype',
        choices=['float32', 'float16'],
        help='round the keypoints to this: smaller, but samples are no longer '
        'the same bit by bit (default: what the normalisation returns)')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace OUT.store if it is a store')
    args = parser.parse_args()
    if args.verify == (args.pickle is not None):
        parser.error('give IN.pkl and OUT.store' if not args.verify else
                     '--verify takes OUT.store alone')
    return args


def pipelines_of(dataset: Dict[str, Any]) -> List[List[Any]]:
    """The pipelines of a data set's config and of those that it wraps."""
    inner = [*dataset.get('datasets', ()), dataset.get('dataset')]
    found = [p for x in inner if x is not None for p in pipelines_of(x)]
    return found + ([dataset['pipeline']] if 'pipeline' in dataset else [])


def leading_transforms(cfg: Config) -> List[PoseTransform]:
    """What all pipelines of a config begin with and a store can do.

    Args:
        cfg (Config): The config.

    Returns:
        list[PoseTransform]: The transforms, perhaps none.

    Raises:
        ValueError: If the config has no pipeline, or they begin differently.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    found: Dict[str, List[PoseTransform]] = {}
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        for pipeline in pipelines_of(loader['dataset']) if loader else ():
            found[part] = leading = _leading(pipeline)
            first = next(iter(found))
            if _settings(leading) != _settings(found[first]):
                raise ValueError(
                    f'{cfg.filename}: the pipeline of {first}_dataloader '
                    f'begins with {found[first]}, that of {part}_dataloader '
                    f'with {leading}. One store cannot serve both: make it '
                    'with --no-normalise')
    if not found:
        raise ValueError(f'{cfg.filename} has no dataloader with a pipeline; '
                         'give the config of a method, or --no-normalise')
    return next(iter(found.values()))


def _leading(pipeline: List[Any]) -> List[PoseTransform]:
    leading = []
    for cfg in pipeline:
        kind = TRANSFORMS.get(cfg['type'])
        if kind is None or not issubclass(kind, PoseTransform):
            break
        transform = TRANSFORMS.build(cfg)
        if transform.offline_settings() is None:
            break
        leading.append(transform)
    return leading


def _settings(transforms: List[PoseTransform]) -> List[Any]:
    return [t.offline_settings() for t in transforms]


def summary(record: Dict[str, Any]) -> Table:
    """What is in a store."""
    counts, files = record['counts'], record['files']
    table = Table(show_header=False)
    for key, value in [
        ('clips', counts['clips']),
        ('clips that cannot be used', counts['faulty']),
        ('persons stored', counts['persons']),
        ('persons absent (all zero)', counts['absent']),
        ('persons that copy person 0', counts['copies']),
        ('arrays', ', '.join(f'{name} {x["dtype"]} {list(x["shape"])}'
                             for name, x in files.items() if 'dtype' in x)),
        ('size', f'{sum(x["bytes"] for x in files.values()) / 2**20:.1f} MiB, '
         f'the pickle {record["source"]["bytes"] / 2**20:.1f} MiB'),
        ('done to every clip', '\n'.join(map(str, record['normalised']))
         or 'nothing'),
        ('rounding', 'none: same samples, bit by bit'
         if record['rounded_to'] is None else
         f'to {record["rounded_to"]}: not the same samples bit by bit, '
         f'largest difference {record["largest_rounding"]:.3g}')
    ]:
        table.add_row(key, str(value))
    return table


def main() -> None:
    args, console = parse_args(), Console()
    if args.verify:
        RaggedStore(args.store).verify()
        console.print(f'{args.store}: every byte is as it was written',
                      soft_wrap=True, highlight=False)
        return
    check_target(args.store.resolve(), args.overwrite)
    normalise = [] if args.no_normalise else leading_transforms(
        Config.fromfile(args.config))
    data = load_annotations(args.pickle)
    bar = track(
        data.pop('annotations'),
        'writing',
        console=Console(stderr=True),
        transient=True)
    source = dict(
        file=args.pickle.name,
        bytes=args.pickle.stat().st_size,
        sha256=hash_file(args.pickle))
    record = write_store(args.store, bar, data.pop('split'), normalise,
                         args.dtype, source, args.overwrite, **data)
    console.print(summary(record))
    if record['counts']['faulty']:
        print_faults(console, args.store)
    console.print(f'wrote {args.store}', soft_wrap=True, highlight=False)


def print_faults(console: Console, path: Path) -> None:
    store = RaggedStore(path)
    faults = store.find_faults(store.load_index()['annotations'])
    console.print(f'{len(faults)} clip(s) cannot be used, as with the pickle '
                  "(tools/data/check.py, SkeletonDataset(invalid='drop')):")
    for name, fault in faults[:NUM_SHOWN]:
        console.print(f'  {name}: {fault}', markup=False, highlight=False,
                      soft_wrap=True)
    if len(faults) > NUM_SHOWN:
        console.print(f'  and {len(faults) - NUM_SHOWN} more')


if __name__ == '__main__':
    run(main)
