# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the converters of data sets share."""
import argparse
import sys
import tempfile
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
)

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from rich.text import Text

from skel_ssl.datasets.checks import clip_fault
from skel_ssl.datasets.pose_writer import write_pose_pickle
from skel_ssl.datasets.sources.chunks import Fault, Splits
from skel_ssl.datasets.sources.clip_store import ClipStore
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.natural import natural_key

from .files import write_json

SKIPPED = 3  # the exit status
STATUS = ('Exit status: 0 all is well, 1 nothing was written, 2 wrong '
          'arguments, 3 it was written, but damaged files were left out.')


def add_output_arguments(parser: argparse.ArgumentParser,
                         **out: Any) -> None:
    """``--out``, ``--report`` and ``--overwrite``.

    Args:
        parser (argparse.ArgumentParser): Where to add them.
        **out: Arguments of ``--out``, such as its default.
    """
    parser.add_argument('--out', type=Path, **out)
    parser.add_argument(
        '--report', type=Path, metavar='JSON', help='write what was done')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing file')


def check_output(target: Path, overwrite: bool) -> None:
    """Find out now what would be an error in the end.

    Raises:
        OSError: If there is something of that name, or its folder cannot be
            written to.
    """
    if target.is_dir():
        raise IsADirectoryError(f'{target} is a folder, not a file to write')
    if target.exists() and not overwrite:
        raise FileExistsError(
            f'there is {target} already; --overwrite replaces it')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent) as file:
            file.write(b'x')
    except OSError as error:
        raise OSError(f'cannot write in {target.parent}: {error}') from None


def fault_table(faults: Sequence[Fault]) -> Table:
    """The files that are left out because of what is in them."""
    table = Table(title=f'{len(faults)} files are damaged and left out')
    table.add_column('file', overflow='fold')
    table.add_column('reason', overflow='fold')
    for name, reason in faults:
        table.add_row(Text(name), Text(reason))
    return table


def split_table(title: str, sizes: Mapping[str, int],
                expected: Mapping[str, int]) -> Table:
    """The clips of each split beside those of the whole data set."""
    table = Table(title=title)
    table.add_column('split')
    table.add_column('here', justify='right')
    if expected:
        table.add_column('expected', justify='right')
    for name, size in sizes.items():
        cells = [name, f'{size:,}']
        if expected:
            cells.append(f'{expected[name]:,}')
        style = None if size == expected.get(name, size) else 'yellow'
        table.add_row(*cells, style=style)
    return table


def find_files(folder: Path, pattern: str) -> List[Path]:
    """The files below a folder, in the natural order of their names.

    Args:
        folder (Path): Where to look, at any depth.
        pattern (str): Of the name, such as ``'*.json'``.

    Raises:
        FileNotFoundError: If there is no folder, or nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder}')
    found = sorted(
        folder.rglob(pattern), key=lambda path: natural_key(path.name))
    if not found:
        raise FileNotFoundError(
            f'there is no file {pattern} in {folder}, nor below')
    return found


def read_clips(read: Callable[[Path], Iterable[Dict[str, Any]]],
               paths: Sequence[Path], faults: List[Fault],
               console: Console) -> Iterator[Dict[str, Any]]:
    """The clips of files, with a progress bar.

    Args:
        read (Callable[[Path], Iterable[dict]]): Makes the annotations of a
            file, or raises a :class:`BadFileError`.
        paths (Sequence[Path]): The files.
        faults (list[Fault]): Where the files that cannot be used are put.
        console (Console): Where the bar is drawn.
    """
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for path in progress.track(paths, description='converting'):
            try:
                yield from read(path)
            except BadFileError as error:
                faults.append((path.name, str(error)))


def convert(clips: Iterable[Dict[str, Any]],
            make_splits: Callable[[Iterable[Dict[str, Any]]], Splits],
            args: argparse.Namespace,
            console: Console,
            faults: List[Fault],
            expected: Mapping[str, int] = {},
            num_joints: Optional[int] = None,
            notes: Mapping[str, Any] = {},
            **extra: Any) -> None:
    """Write a pose pickle and say what is in it and what is not.

    A clip that could not be loaded, see :func:`clip_fault`, is left out.

    Args:
        clips (Iterable[dict]): The annotations, one at a time.
        make_splits (Callable): Divides the clips that are written. It may go
            through them as often as it likes.
        args (argparse.Namespace): See :func:`add_output_arguments`.
        console (Console): Where to print.
        faults (list[Fault]): What could not be used; ``clips`` may add to it
            until it ends.
        expected (Mapping[str, int]): The sizes that the splits should have.
        num_joints (int, optional): What every clip must have.
        notes (Mapping): More entries of the report.
        **extra: More entries of the pickle.

    Raises:
        SystemExit: With 3 if something was left out.
        ValueError: If nothing can be written.
    """
    with ClipStore(args.out.parent) as store:
        for clip in clips:
            fault = clip_fault(clip, num_joints)
            if fault is None:
                store.append(clip)
            else:
                faults.append((clip['frame_dir'], fault))
        splits = make_splits(store)
        if len(store):
            write_pose_pickle(args.out, store, splits, **extra)
        num_clips = len(store)
    faults.sort()
    if faults:
        console.print(fault_table(faults))
    sizes = {name: len(names) for name, names in splits.items()}
    if args.report is not None:
        write_json(
            args.report,
            dict(
                extra.get('source', {}),
                clips=num_clips,
                splits=sizes,
                **notes,
                damaged=[dict(file=name, reason=why)
                         for name, why in faults]))
    if not num_clips:
        raise ValueError('none of the files can be used: nothing was written')
    console.print(split_table(f'clips of {args.out.name}', sizes, expected))
    console.print(
        f'{args.out}: {num_clips:,} clips, '
        f'{args.out.stat().st_size / 2**20:,.0f} MiB. Left out: '
        f'{len(faults):,} damaged', highlight=False, markup=False)
    if faults:
        sys.exit(SKIPPED)


def convert_folder(about: str,
                   dataset: str,
                   pattern: str,
                   read: Callable[[Path], Iterable[Dict[str, Any]]],
                   make_splits: Callable[[Iterable[Dict[str, Any]]], Splits],
                   sizes: Mapping[str, int], **extra: Any) -> None:
    """The command of a data set that is a folder of files of one kind.

    Args:
        about (str): What its help says.
        dataset (str): Its name; the pickle is ``<dataset>_3d.pkl``.
        pattern (str): Of the names of its files, such as ``'*.json'``.
        read (Callable): See :func:`read_clips`.
        make_splits (Callable): See :func:`convert`.
        sizes (Mapping[str, int]): See :func:`convert`.
        **extra: More entries of the pickle.
    """
    parser = argparse.ArgumentParser(description=about, epilog=STATUS)
    parser.add_argument(
        'folder',
        type=Path,
        metavar='FOLDER',
        help=f'where the {pattern[1:]} files are, at any depth')
    add_output_arguments(
        parser,
        default=Path(f'data/skeleton/{dataset}_3d.pkl'),
        help='the pickle to write (default: %(default)s)')
    args = parser.parse_args()
    console = Console()
    for target in filter(None, (args.out, args.report)):
        check_output(target, args.overwrite)
    faults: List[Fault] = []
    clips = read_clips(read, find_files(args.folder, pattern), faults, console)
    convert(
        clips,
        make_splits,
        args,
        console,
        faults,
        sizes,
        source=dict(dataset=dataset),
        **extra)
