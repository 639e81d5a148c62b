# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Cut the videos of PKU-MMD I or II into a pose pickle of clips.

A video that is damaged, or a line of its labels that makes no sense, is
named, with the reason, and left out. A clip in which nobody is seen is left
out, too, as everywhere in the field, and is no damage.
"""
import argparse
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List

from rich.console import Console

from skel_ssl.datasets.sources.chunks import Fault
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.pkummd import (
    CLASSES,
    check_name,
    cut_clip,
    find_split_file,
    make_splits,
    read_actions,
    read_frames,
    read_training_videos,
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
        '--part', required=True, type=int, choices=(1, 2), help='I or II')
    parser.add_argument(
        '--skeletons',
        required=True,
        type=Path,
        metavar='FOLDER',
        help='where the skeleton files are, such as 0002-L.txt')
    parser.add_argument(
        '--labels',
        required=True,
        type=Path,
        metavar='FOLDER',
        help='where the label files are, which have the same names')
    parser.add_argument(
        '--splits',
        required=True,
        type=Path,
        metavar='FOLDER',
        help='where the lists are: cross_subject.txt and cross_view.txt, or '
        'with a hyphen, or with _v2')
    add_output_arguments(
        parser,
        help='the pickle to write (default: data/skeleton/pkummd<PART>_3d.pkl)'
    )
    args = parser.parse_args()
    if args.out is None:
        args.out = Path(f'data/skeleton/pkummd{args.part}_3d.pkl')
    return args


class VideoReader:
    """Reads videos and remembers what became of them.

    Args:
        labels (Path): The folder of the label files.
        faults (list[Fault]): Where lines that make no sense are put.
    """

    def __init__(self, labels: Path, faults: List[Fault]) -> None:
        self.labels = labels
        self.faults = faults
        self.videos: List[str] = []
        self.empty: List[str] = []
        self.shortened: List[str] = []

    def __call__(self, path: Path) -> Iterator[Dict[str, Any]]:
        """The clips of a video, named after it and the line of the label."""
        check_name(path.stem)
        recording, _, view = path.stem.rpartition('-')
        self.videos.append(path.stem)
        labels = self.labels / path.name
        if not labels.is_file():
            raise BadFileError(f'there are no labels for it: no {labels}')
        actions, frames = read_actions(labels), read_frames(path)
        for action in actions:
            name = f'{path.stem}_{action.line:03}'
            try:
                keypoint = cut_clip(frames, action)
            except BadFileError as error:
                self.faults.append((path.name, str(error)))
                continue
            if keypoint is None:
                self.empty.append(name)
                continue
            if action.end > frames.shape[1]:
                self.shortened.append(name)
            yield dict(
                frame_dir=name,
                label=action.label - 1,
                total_frames=keypoint.shape[1],
                keypoint=keypoint,
                video=path.stem,
                recording=recording,
                view=view)


def main() -> None:
    args = parse_args()
    console = Console()
    for target in filter(None, (args.out, args.report)):
        check_output(target, args.overwrite)
    training = {
        protocol: read_training_videos(
            find_split_file(args.splits, name, args.part))
        for protocol, name in (('xsub', 'subject'), ('xview', 'view'))
    }
    faults: List[Fault] = []
    read = VideoReader(args.labels, faults)
    notes = dict(empty=read.empty, shortened=read.shortened)
    paths = find_files(args.skeletons, '*.txt')

    def divide(clips: Iterable[Dict[str, Any]]) -> Dict[str, List[str]]:
        for protocol, videos in training.items():
            missing = sorted(videos.difference(read.videos))
            if missing:
                notes[f'{protocol}_train_missing'] = missing
                console.print(
                    f'[bold yellow]warning:[/] {len(missing)} of the '
                    f'{len(videos)} training videos of {protocol} are not '
                    f'there, the first is {missing[0]}')
        if read.empty or read.shortened:
            console.print(
                f'{len(read.empty)} clips show nobody and are left out, '
                f'{len(read.shortened)} end with their video, before the '
                'label does')
        return make_splits(clips, training)

    convert(
        read_clips(read, paths, faults, console),
        divide,
        args,
        console,
        faults,
        notes=notes,
        classes=list(CLASSES),
        source=dict(dataset='pkummd', part=args.part))


if __name__ == '__main__':
    run(main)
