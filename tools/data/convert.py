# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert recordings of your own, or .npz files, to a pose pickle, and back.

What cannot be used is named, with the reason, and left out. data/README.md
has an example of each.
"""
import argparse
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List

from rich.console import Console

from skel_ssl.datasets.layouts import SkeletonLayout, get_layout
from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.datasets.sources import npz, recording_labels
from skel_ssl.datasets.sources.chunks import Fault
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.natural import natural_key
from skel_ssl.datasets.sources.recordings import READERS, read_recording
from skel_ssl.utils.cli import run
from skel_ssl.utils.converting import (
    STATUS,
    add_output_arguments,
    check_output,
    convert,
    read_clips,
)
from skel_ssl.utils.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=STATUS)
    commands = parser.add_subparsers(dest='command', required=True)
    own = commands.add_parser(
        'recordings', help='CSV, JSON or NumPy files of your own, one a clip')
    own.add_argument('folder', type=Path, metavar='FOLDER')
    own.add_argument(
        '--layout',
        required=True,
        help='the body: a JSON file with the arguments of SkeletonLayout, or '
        'a preset')
    own.add_argument(
        '--labels',
        required=True,
        type=Path,
        metavar='CSV',
        help='a table with the columns file, label and perhaps subject, split')
    own.add_argument(
        '--scale',
        type=float,
        default=1.,
        help='multiply coordinates, such as .001 for millimetres')
    own.add_argument(
        '--img-shape',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images that 2D coordinates are pixels of')
    own.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of a random split, if the table has neither subject nor split')
    to_pickle = commands.add_parser(
        'npz', help='a file of CTR-GCN or MAMP, such as NTU60_CS.npz')
    to_pickle.add_argument('file', type=Path, metavar='NPZ')
    to_pickle.add_argument(
        '--layout', default='ntu25', help='the body (default: %(default)s)')
    to_npz = commands.add_parser(
        'to-npz', help='one protocol of a pose pickle as such a file')
    to_npz.add_argument('file', type=Path, metavar='PICKLE')
    to_npz.add_argument(
        '--frames',
        type=int,
        default=300,
        help='cut longer clips, fill up shorter ones (default: %(default)s)')
    to_npz.add_argument(
        '--persons', type=int, default=2, help='default: %(default)s')
    for command in (to_pickle, to_npz):
        command.add_argument(
            '--protocol',
            required=True,
            metavar='NAME',
            help='the splits are NAME_train and NAME_val, such as xsub')
    for command in (own, to_pickle, to_npz):
        add_output_arguments(
            command, required=True, help='the file to write')
    return parser.parse_args()


class RecordingReader:
    """Makes the annotations of recordings.

    Args:
        args (argparse.Namespace): Of the command.
        layout (SkeletonLayout): The body.
        rows (dict[str, Row]): What each file shows.
        classes (list[str]): The labels' names.
    """

    def __init__(self, args: argparse.Namespace, layout: SkeletonLayout,
                 rows: Dict[str, recording_labels.Row],
                 classes: List[str]) -> None:
        self.args = args
        self.layout = layout
        self.rows = rows
        self.classes = classes
        self.names: Dict[str, str] = {}
        self.num_axes = 0

    def __call__(self, path: Path) -> Iterator[Dict[str, Any]]:
        if not path.is_file():
            raise BadFileError(f'--labels names it, but there is no {path}')
        file = path.relative_to(self.args.folder).as_posix()
        if file not in self.rows:
            raise BadFileError('--labels has no row for it')
        name = file[:-len(path.suffix)]
        other = self.names.setdefault(name, file)
        if other != file:
            raise BadFileError(f'{other} would have the same name, {name}')
        keypoint, score = read_recording(path, self.layout)
        self.num_axes = self.num_axes or keypoint.shape[-1]
        if keypoint.shape[-1] != self.num_axes:
            raise BadFileError(
                f'it is {keypoint.shape[-1]}D, the first one is '
                f'{self.num_axes}D')
        row = self.rows[file]
        clip = dict(
            frame_dir=name,
            file=file,
            label=self.classes.index(row.label),
            total_frames=keypoint.shape[1],
            keypoint=keypoint * self.args.scale)
        if score is not None:
            clip['keypoint_score'] = score
        if row.subject is not None:
            clip['subject'] = row.subject
        if self.args.img_shape is not None:
            clip['img_shape'] = tuple(self.args.img_shape)
        yield clip


def convert_recordings(args: argparse.Namespace, console: Console) -> None:
    layout = get_layout(args.layout)
    rows = recording_labels.read_labels(args.labels)
    classes = sorted({row.label for row in rows.values()}, key=natural_key)
    if not args.folder.is_dir():
        raise FileNotFoundError(f'there is no folder {args.folder}')
    others = {args.labels.resolve(), Path(args.layout).resolve()}
    paths = {path for path in args.folder.rglob('*')
             if path.suffix.lower() in READERS
             and path.resolve() not in others}
    paths.update(args.folder / file for file in rows)
    row = next(iter(rows.values()))
    if row.subject is None and row.split is None:
        console.print(
            f'[bold yellow]warning:[/] {args.labels} has neither "subject" '
            'nor "split": a quarter of each class is drawn to validate on. If '
            'a person was recorded more than once, the figures will be too '
            'good; a column "subject" prevents it')
    faults: List[Fault] = []
    read = RecordingReader(args, layout, rows, classes)
    ordered = sorted(paths, key=lambda path: natural_key(path.as_posix()))
    convert(
        read_clips(read, ordered, faults, console),
        partial(recording_labels.make_splits, rows=rows, seed=args.seed),
        args,
        console,
        faults,
        num_joints=layout.num_joints,
        classes=classes,
        joints=list(layout.joints),
        source=dict(dataset='recordings', layout=layout.name))


def convert_npz(args: argparse.Namespace, console: Console) -> None:
    clips = npz.read_clips(args.file, get_layout(args.layout).num_joints)
    with console.status(f'reading {args.file}'):
        convert(
            clips,
            partial(npz.make_splits, protocol=args.protocol),
            args,
            console, [],
            source=dict(dataset=args.file.name))


def convert_to_npz(args: argparse.Namespace, console: Console) -> None:
    data = load_annotations(args.file)
    with console.status(f'writing {args.out}'):
        counts = npz.write_npz(args.out, data, args.protocol, args.frames,
                               args.persons)
    if args.report is not None:
        write_json(args.report,
                   dict(source=str(args.file), protocol=args.protocol,
                        frames=args.frames, persons=args.persons, **counts))
    console.print(
        f'{args.out}: {counts["train"]:,} clips to train, {counts["test"]:,} '
        f'to test, {args.out.stat().st_size / 2**20:,.0f} MiB; '
        f'{counts["cut"]:,} were cut at {args.frames} frames',
        highlight=False, markup=False)


def main() -> None:
    args = parse_args()
    console = Console()
    for target in filter(None, (args.out, args.report)):
        check_output(target, args.overwrite)
    dict(recordings=convert_recordings,
         npz=convert_npz,
         **{'to-npz': convert_to_npz})[args.command](args, console)


if __name__ == '__main__':
    run(main)
