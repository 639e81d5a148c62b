# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tools that draw clips of a config have in common."""
import argparse
import re
from pathlib import Path
from typing import Any, List, Optional

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console

from skel_ssl.datasets.checks import clip_name
from skel_ssl.utils.cli import OptionsAction, check_option_names

from .animations import check_format
from .cameras import VIEWS
from .clip_sources import find_clips, spread
from .model_clips import body_view, class_names
from .skeleton_visualizer import SkeletonVisualizer


def add_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Which clips to draw, and how.

    Args:
        parser (argparse.ArgumentParser): Changed in place.
        out (str): Folder for the pictures by default.
    """
    parser.add_argument(
        '--clips',
        nargs='+',
        metavar='NAME_OR_INDEX',
        help='which clips of the training set (default: --num of them, '
        'evenly spread)')
    parser.add_argument(
        '--num',
        '-n',
        type=int,
        default=4,
        help='how many clips (default: %(default)s)')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of crops and masks: the same seed, the same picture')
    parser.add_argument(
        '--augment',
        action='store_true',
        help='turn and scale the bodies as in training')
    parser.add_argument(
        '--format',
        choices=('png', 'gif', 'mp4'),
        default='png',
        help='moments side by side, or an animation (default: png)')
    parser.add_argument(
        '--view',
        choices=VIEWS,
        default='front',
        help='from where to look at 3D poses (default: front)')
    parser.add_argument(
        '--num-poses',
        type=int,
        default=8,
        help='moments in a row of a PNG (default: %(default)s)')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path(out),
        metavar='DIR',
        help='folder for the pictures (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py')


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; nonsense ends the program.

    Raises:
        ValueError: If the format cannot be written.
    """
    args = parser.parse_args()
    for option in ('num', 'num_poses'):
        if getattr(args, option) < 1:
            parser.error(f'--{option.replace("_", "-")} must be 1 or more')
    if args.seed < 0:
        parser.error('--seed must be 0 or more')
    if args.format != 'png':
        check_format(f'.{args.format}')
    return args


def read_config(path: str, options: Optional[dict] = None) -> Config:
    """A config with overrides; building from it stays quiet.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an option names no setting.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no config {path}')
    MMLogger.get_instance('visualization', log_level='WARNING')
    cfg = Config.fromfile(path)
    if options:
        check_option_names(cfg, options)
        cfg.merge_from_dict(options)
    return cfg


class Studio:
    """Chosen clips of a dataset, and files for their pictures.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`, with
            ``config``.
        dataset (Any): The dataset.

    Attributes:
        indices (list[int]): The chosen clips.
        names (list[str]): Their names, with their classes.
        paths (list[Path]): What was written.
    """

    def __init__(self, args: argparse.Namespace, dataset: Any) -> None:
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        names = [str(clip_name(info)) for info in infos]
        self.args = args
        self.indices = spread(len(names), args.num)
        if args.clips is not None:
            self.indices = find_clips(args.clips, names)
        self.names = [names[i] for i in self.indices]
        self.view = body_view(dataset, view=args.view)
        self.visualizer = SkeletonVisualizer(num_poses=args.num_poses)
        self.visualizer.body_view = self.view
        self.visualizer.dataset_meta = dict(classes=class_names(dataset))
        self.paths: List[Path] = []

    def path(self, what: str) -> Path:
        """A file for a picture, noted in ``paths``."""
        name = re.sub(r'[^\w.-]', '_', f'{Path(self.args.config).stem}_{what}')
        path = self.args.out / f'{name}.{self.args.format}'
        self.paths.append(path)
        return path

    def report(self) -> None:
        """Print which files were written."""
        more = f' ... ({len(self.paths)} pictures)' if self.paths[1:] else ''
        Console().print(f'wrote {self.paths[0]}{more}', highlight=False,
                        markup=False, soft_wrap=True)
