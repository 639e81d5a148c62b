# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert the raw .skeleton files of NTU RGB+D 60 or 120 to a pose pickle.

A file that is damaged is named, with the reason, and left out. A run that was
interrupted goes on where it stopped when the same command is given again; the
result is the same to the byte, whatever the number of workers.

Exit status: 0 all is well, 1 the pickle was not written, 2 wrong arguments,
3 it was written, but damaged files were left out.
"""
import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Optional, Set

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from skel_ssl.datasets.sources.chunks import convert_files
from skel_ssl.datasets.sources.ntu_clip import CLEANINGS, read_clip
from skel_ssl.datasets.sources.ntu_files import find_files, select_files
from skel_ssl.datasets.sources.ntu_splits import (
    DATASETS,
    belongs,
    make_splits,
    parse_name,
    read_missing_list,
)
from skel_ssl.utils.cli import run
from skel_ssl.utils.converting import (
    SKIPPED,
    add_output_arguments,
    check_output,
    fault_table,
    split_table,
)
from skel_ssl.utils.files import write_json


def parse_args() -> argparse.Namespace:
    about, status = __doc__.split('\n\nExit')
    parser = argparse.ArgumentParser(
        description=about, epilog=f'Exit{status}')
    parser.add_argument(
        'folders',
        nargs='+',
        type=Path,
        metavar='FOLDER',
        help='where the .skeleton files are, at any depth')
    parser.add_argument('--dataset', required=True, choices=DATASETS)
    parser.add_argument(
        '--cleaning',
        required=True,
        choices=CLEANINGS,
        help='the two bodies that move most, as in MMAction2 and pyskl; or '
        'denoised, joined and centred tracks, as in CTR-GCN and MAMP')
    parser.add_argument(
        '--missing-list',
        type=Path,
        metavar='FILE',
        help="the authors' list of clips with missing skeletons, which the "
        'published protocols leave out')
    parser.add_argument(
        '--repeat-single',
        action='store_true',
        help="write a clip's only person twice, as MAMP's NTU RGB+D 120 has "
        'it (--cleaning denoise)')
    parser.add_argument(
        '--workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes (default: %(default)s)')
    add_output_arguments(parser, required=True, help='the pickle to write')
    args = parser.parse_args()
    if args.workers < 1:
        parser.error('--workers is 1 or more')
    if args.repeat_single and args.cleaning != 'denoise':
        parser.error('--repeat-single goes with --cleaning denoise')
    return args


def missing_clips(path: Optional[Path], dataset: str,
                  console: Console) -> Set[str]:
    """The clips to leave out; says so if the list is not the right one."""
    expected = DATASETS[dataset].num_missing
    if path is None:
        console.print(
            f'[bold yellow]warning:[/] no --missing-list: the {expected} '
            f'clips that the published protocols of {dataset} leave out are '
            'kept where they can be read')
        return set()
    try:
        names = read_missing_list(path.read_text())
    except ValueError as error:
        raise ValueError(f'--missing-list {path}: {error}') from None
    here = sum(belongs(parse_name(name), dataset) for name in names)
    if here != expected:
        console.print(
            f'[bold yellow]warning:[/] {path} has {here} clips of {dataset}, '
            f'the published list has {expected}')
    return names


def main() -> None:
    args = parse_args()
    console = Console()
    for target in filter(None, (args.out, args.report)):
        check_output(target, args.overwrite)
    missing = missing_clips(args.missing_list, args.dataset, console)
    chosen = select_files(find_files(args.folders), args.dataset, missing)
    if not chosen.paths:
        raise ValueError(
            f'no file is one of {args.dataset}: {len(chosen.missing)} are on '
            f'the missing list, {len(chosen.others)} of NTU RGB+D 120 only, '
            f'{len(chosen.faults)} have other names')
    options = dict(cleaning=args.cleaning, repeat_single=args.repeat_single)
    source = dict(options, dataset=args.dataset)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task('converting', total=len(chosen.paths))
        splits, faults = convert_files(
            partial(read_clip, **options),
            chosen.paths,
            args.out,
            partial(make_splits, dataset=args.dataset),
            source,
            workers=args.workers,
            advance=partial(progress.advance, bar))

    num_clips = len(chosen.paths) - len(faults)
    faults = sorted([*chosen.faults, *faults])
    if faults:
        console.print(fault_table(faults))
    sizes = {name: len(clips) for name, clips in splits.items()}
    if args.report is not None:
        write_json(
            args.report,
            dict(
                source,
                clips=num_clips,
                splits=sizes,
                on_missing_list=chosen.missing,
                not_in_dataset=chosen.others,
                damaged=[dict(file=name, reason=why)
                         for name, why in faults]))
    if not num_clips:
        raise ValueError('none of the files can be used: nothing was written')
    console.print(
        split_table(f'clips of {args.dataset}', sizes,
                    DATASETS[args.dataset].sizes))
    console.print(
        f'{args.out}: {num_clips:,} clips, '
        f'{args.out.stat().st_size / 2**20:,.0f} MiB. Left out: '
        f'{len(chosen.missing):,} on the missing list, '
        f'{len(chosen.others):,} of NTU RGB+D 120 only, '
        f'{len(faults):,} damaged', highlight=False, markup=False)
    if faults:
        sys.exit(SKIPPED)


if __name__ == '__main__':
    run(main)
