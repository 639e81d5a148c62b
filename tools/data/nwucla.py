# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert the JSON files of Northwestern-UCLA to a pose pickle.

A file that is damaged is named, with the reason, and left out.
"""
import argparse
from pathlib import Path

from rich.console import Console

from skel_ssl.datasets.sources.kinect_v1 import JOINTS
from skel_ssl.datasets.sources.nwucla import (
    CLASSES,
    SIZES,
    make_splits,
    read_clip,
)
from skel_ssl.utils.cli import run
from skel_ssl.utils.converting import (
    STATUS,
    add_output_arguments,
    check_output,
    convert,
    find_files,
    read_clips,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=STATUS)
    parser.add_argument(
        'folder',
        type=Path,
        metavar='FOLDER',
        help='where the .json files are, at any depth')
    add_output_arguments(
        parser,
        default=Path('data/skeleton/nwucla_3d.pkl'),
        help='the pickle to write (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    console = Console()
    for target in filter(None, (args.out, args.report)):
        check_output(target, args.overwrite)
    faults = []
    paths = find_files(args.folder, '*.json')
    clips = read_clips(read_clip, paths, faults, console)
    convert(
        clips,
        make_splits,
        args,
        console,
        faults,
        SIZES,
        joints=list(JOINTS),
        classes=list(CLASSES),
        source=dict(dataset='nwucla'))


if __name__ == '__main__':
    run(main)
