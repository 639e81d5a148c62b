# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Fetch the public pickles of OpenMMLab, which their docs link.

A broken connection is taken up again, and the same command goes on where an
earlier one stopped. A file gets its name when it is complete and was read.
NTU RGB+D asks you to register with its authors.
"""
import argparse
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.utils.cli import run
from skel_ssl.utils.download import check_sha256, copy, fetch

# https://github.com/open-mmlab/mmaction2/tree/main/tools/data/skeleton
HOME = 'https://download.openmmlab.com/mmaction/v1.0/skeleton/data'


class Source(NamedTuple):
    """One of the pickles.

    Attributes:
        about (str): What is in it.
        splits (tuple[str]): Splits that it must have.
        alias (str, optional): What pyskl calls the same file.
    """
    about: str
    splits: Tuple[str, ...]
    alias: Optional[str] = None


def _both(*names: str) -> Tuple[str, ...]:
    return tuple(f'{name}_{part}' for name in names
                 for part in ('train', 'val'))


SOURCES: Dict[str, Source] = dict(
    ntu60_3d=Source('NTU RGB+D 60', _both('xsub', 'xview'), 'ntu60_3danno'),
    ntu60_2d=Source('NTU RGB+D 60, 2D poses', _both('xsub', 'xview'),
                    'ntu60_hrnet'),
    ntu120_3d=Source('NTU RGB+D 120', _both('xsub', 'xset'), 'ntu120_3danno'),
    ntu120_2d=Source('NTU RGB+D 120, 2D poses', _both('xsub', 'xset'),
                     'ntu120_hrnet'),
    gym_2d=Source('FineGym99, 2D poses', ('train', 'val'), 'gym_hrnet'),
    diving48_2d=Source('Diving48, 2D poses', ('train', 'test'),
                       'diving48_hrnet'),
    ucf101_2d=Source('UCF101, 2D poses', ('train1', 'test1'), 'ucf101_hrnet'),
    hmdb51_2d=Source('HMDB51, 2D poses', ('train1', 'test1'), 'hmdb51_hrnet'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help=f'one or more of {", ".join(SOURCES)}')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/skeleton'),
        help='the folder to put them in (default: %(default)s)')
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        '--mirror',
        default=HOME,
        metavar='PREFIX',
        help='fetch PREFIX/NAME.pkl (default: %(default)s)')
    place.add_argument(
        '--from',
        dest='folder',
        type=Path,
        metavar='FOLDER',
        help='copy them from a folder, without any network')
    parser.add_argument(
        '--sha256',
        metavar='HEX',
        help='what the file must be, if you know it; OpenMMLab publishes none')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing file')
    parser.add_argument(
        '--list', action='store_true', help='say what there is, and end')
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in SOURCES]
    if unknown:
        parser.error(f'there is no {unknown[0]!r}: names are '
                     f'{", ".join(SOURCES)}')
    if not args.names and not args.list:
        parser.error('name one or more files; --list says what there is')
    if args.sha256 is not None and len(args.names) != 1:
        parser.error('--sha256 goes with one name')
    if args.sha256 is not None and len(args.sha256) != 64:
        parser.error('--sha256 has 64 digits')
    if not args.mirror.startswith(('http://', 'https://')):
        parser.error('--mirror begins with https:// or http://; for a folder '
                     'there is --from')
    return args


def check_pickle(path: Path, splits: Tuple[str, ...]) -> None:
    """Whether a file is a pose pickle with these splits.

    Raises:
        ValueError: If it is not.
    """
    data = load_annotations(path)
    missing = [name for name in splits if not data['split'].get(name)]
    if missing:
        raise ValueError(f'it has no clips of split {missing[0]!r}, its '
                         f'splits are {sorted(data["split"])}')
    if not all('keypoint' in clip for clip in data['annotations'][:1]):
        raise ValueError('its clips have no keypoints')


def find_in(folder: Path, name: str) -> Path:
    """A pickle in a folder, by its name or that of pyskl.

    Raises:
        FileNotFoundError: If it is not there.
    """
    choices = [name, SOURCES[name].alias]
    for choice in choices:
        if (folder / f'{choice}.pkl').is_file():
            return folder / f'{choice}.pkl'
    raise FileNotFoundError(
        f'there is neither {choices[0]}.pkl nor {choices[1]}.pkl in {folder}. '
        f'Fetch {HOME}/{name}.pkl where there is a network')


def source_table(out: Path) -> Table:
    table = Table('name', 'what', 'splits', 'here')
    for name, source in SOURCES.items():
        path = out / f'{name}.pkl'
        here = f'{path.stat().st_size / 2**20:,.0f} MiB' if (
            path.is_file()) else ''
        table.add_row(name, source.about, ', '.join(source.splits), here)
    return table


def get(name: str, args: argparse.Namespace, progress: Progress) -> None:
    """Fetch or copy one file, or find that it is there."""
    target, splits = args.out / f'{name}.pkl', SOURCES[name].splits
    if target.exists() and not args.overwrite:
        try:
            check_sha256(target, args.sha256)
            check_pickle(target, splits)
        except ValueError as error:
            raise ValueError(f'{target} is there, but not as it should be: '
                             f'{error}. --overwrite replaces it') from None
        progress.console.print(f'{target} is there already', highlight=False)
        return
    bar = progress.add_task(name, total=None)

    def advance(done: int, size: Optional[int]) -> None:
        progress.update(bar, completed=done, total=size)

    def check(path: Path) -> None:
        progress.update(bar, description=f'reading {name}')
        check_pickle(path, splits)

    if args.folder is not None:
        place = str(find_in(args.folder, name))
        copy(Path(place), target, check, args.sha256, advance)
    else:
        place = f'{args.mirror.rstrip("/")}/{name}.pkl'
        fetch(place, target, check, args.sha256, advance)
    progress.remove_task(bar)
    progress.console.print(
        f'{target}: {target.stat().st_size:,} bytes from {place}',
        highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    args = parse_args()
    console = Console()
    if args.list:
        console.print(source_table(args.out))
        console.print(f'from {HOME}', highlight=False)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn('{task.description}'), BarColumn(),
               DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for name in args.names:
            get(name, args, progress)


if __name__ == '__main__':
    run(main)
