# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Look at clips, raw or after every step of a pipeline.

SOURCE is a config: its clips go through the pipeline of one of its loaders,
with the random numbers of a training with that seed in that epoch. Or it is
a pose pickle, whose clips are drawn as they are.

  browse_dataset.py configs/skel2vec_nwucla.py --clips 3 --format gif
  browse_dataset.py data/skeleton/nwucla_3d.pkl --view 3d
"""
import argparse
import re
from pathlib import Path
from typing import Any, Callable, List, Sequence

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import track

from skel_ssl.datasets.layouts import get_layout
from skel_ssl.utils.cli import OptionsAction, check_option_names, run
from skel_ssl.visualization.animations import check_format, save_animation
from skel_ssl.visualization.cameras import VIEWS
from skel_ssl.visualization.clip_sources import (
    PHASES,
    Clips,
    PickleClips,
    PipelineClips,
    find_clips,
    nearest,
    spread,
)
from skel_ssl.visualization.contact_sheet import draw_contact_sheet
from skel_ssl.visualization.files import save_figure
from skel_ssl.visualization.pipeline_steps import (
    RAW,
    draw_step,
    guess_step_ups,
)
from skel_ssl.visualization.skeletons import Scene

_PREVIEW = 16  # clips by which up is found out
_MAX_ROWS = 12  # of clips in a contact sheet


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'source', type=Path, metavar='SOURCE', help='a config, or a .pkl')
    parser.add_argument(
        '--phase',
        '-p',
        choices=PHASES,
        help='which loader of the config (default: train)')
    parser.add_argument(
        '--clips',
        nargs='+',
        metavar='NAME_OR_INDEX',
        help='which clips (default: --show-number of them, evenly spread)')
    parser.add_argument(
        '--show-number',
        '-n',
        type=int,
        default=5,
        help='how many clips (default: %(default)s)')
    parser.add_argument(
        '--step',
        metavar='all|last|INDEX|NAME',
        help='which steps of the pipeline: all of them, the last one, a '
        f"number (0 is the raw clip) or a transform's name ({RAW!r} is the "
        'raw clip); default: all')
    parser.add_argument(
        '--format',
        choices=('sheet', 'gif', 'mp4'),
        default='sheet',
        help='a contact sheet (PNG) or an animation (default: sheet)')
    parser.add_argument(
        '--view',
        choices=VIEWS,
        default='front',
        help='from where to look at 3D poses (default: front)')
    parser.add_argument(
        '--layout',
        help='the body: a preset, or a JSON file with the arguments of '
        "SkeletonLayout (default: the dataset's, or the preset with as many "
        'joints)')
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the run')
    parser.add_argument(
        '--epoch', type=int, default=0, help='epoch of the run, from 0 on')
    parser.add_argument(
        '--num-poses',
        type=int,
        default=8,
        help='moments in a row of a contact sheet (default: %(default)s)')
    parser.add_argument(
        '--fps',
        type=float,
        default=15,
        help='pictures a second of an animation (default: %(default)s)')
    parser.add_argument(
        '--output-dir',
        type=Path,
        default=Path('work_dirs/browse'),
        help='where the pictures go (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py')
    args = parser.parse_args()
    for option in ('show_number', 'num_poses', 'fps'):
        if getattr(args, option) <= 0:
            parser.error(f"--{option.replace('_', '-')} must be above 0")
    if min(args.seed, args.epoch) < 0:
        parser.error('--seed and --epoch must be 0 or more')
    if args.source.suffix == '.pkl':
        for option in ('phase', 'step', 'cfg_options'):
            if getattr(args, option) is not None:
                parser.error(f"--{option.replace('_', '-')} goes with a "
                             'config: a pickle has no pipeline')
    return args


def read_source(args: argparse.Namespace) -> Clips:
    """Open the pickle, or the config and its data.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or has no such phase or option.
    """
    if args.source.suffix == '.pkl':
        clips: Clips = PickleClips(args.source)
    else:
        if not args.source.is_file():
            raise FileNotFoundError(f'there is no config {args.source}')
        # The dataset reports how many clips it has at the level of info.
        MMLogger.get_instance('browse', log_level='WARNING')
        cfg = Config.fromfile(args.source)
        if args.cfg_options:
            check_option_names(cfg, args.cfg_options)
            cfg.merge_from_dict(args.cfg_options)
        clips = PipelineClips(cfg, args.source, args.phase or 'train',
                              args.seed, args.epoch)
    if args.layout is not None:
        clips.layout = get_layout(args.layout)
    elif clips.layout is None:
        clips.layout = clips.guess_layout()
    return clips


def find_steps(wanted: str, names: Sequence[str]) -> List[int]:
    """Places of the steps that are asked for, several if one name is twice.

    Raises:
        ValueError: If there is no such step, with all that there are.
    """
    if wanted == 'all':
        return list(range(len(names)))
    if wanted == 'last':
        return [len(names) - 1]
    if wanted.isdigit() and int(wanted) < len(names):
        return [int(wanted)]
    found = [i for i, name in enumerate(names) if name == wanted]
    if not found:
        near = nearest(wanted, names)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        listed = ', '.join(f'{i} {name}' for i, name in enumerate(names))
        raise ValueError(
            f"--step {wanted}: there is no such step.{hint} It is 'all', "
            f"'last', or one of: {listed}")
    return found


class Album:
    """Draws clips into files.

    Args:
        clips (Clips): The source.
        args (argparse.Namespace): What and how to draw.
    """

    def __init__(self, clips: Clips, args: argparse.Namespace) -> None:
        self.clips, self.args = clips, args
        sample = [clips.steps(i) for i in spread(len(clips.names), _PREVIEW)]
        self.ups = guess_step_ups(sample, clips.layout, clips.joints)
        self.chosen = find_steps(args.step or 'all',
                                 [step.name for step in sample[0]])

    def draw(self, indices: Sequence[int], bar: Callable) -> List[Path]:
        """Draw clips; of single steps, several clips go into one sheet."""
        one_each = len(self.chosen) > 1 or self.args.format != 'sheet'
        size = 1 if one_each else _MAX_ROWS
        pages = [indices[i:i + size] for i in range(0, len(indices), size)]
        return [self._draw_page(page, one_each) for page in bar(pages)]

    def _draw_page(self, page: Sequence[int], one_clip: bool) -> Path:
        title, name = self.clips.title, f'{page[0]:05}'
        scenes: List[Scene] = []
        if one_clip:
            title += f': {self.clips.label(page[0])}'
            name += f'_{self.clips.names[page[0]]}'
        elif len(page) > 1:
            name += f'-{page[-1]:05}'
        for index in page:
            steps = self.clips.steps(index)
            for i in self.chosen:
                label = None if one_clip else (
                    f'{index} {self.clips.label(index)}')
                scenes.append(
                    draw_step(steps[i], self.clips.layout, self.args.view,
                              self.ups[i], label))
        if len(self.chosen) == 1:
            step = f'{self.chosen[0]}_{steps[self.chosen[0]].name}'
            if len(steps) > 1:
                name += f'_step{step}'
                title += '' if one_clip else f', step {step.replace("_", " ")}'
        name = re.sub(r'[^\w.-]', '_', f'{self.clips.title}_{name}')
        path = self.args.output_dir / name
        if self.args.format == 'sheet':
            path = path.with_name(f'{name}.png')
            save_figure(path, draw_contact_sheet(scenes, title,
                                                 self.args.num_poses))
        else:
            path = path.with_name(f'{name}.{self.args.format}')
            save_animation(path, scenes, title, fps=self.args.fps)
        return path


def main() -> None:
    args, console = parse_args(), Console()
    if args.format != 'sheet':
        check_format(f'.{args.format}')
    clips = read_source(args)
    indices = spread(len(clips.names), args.show_number)
    if args.clips is not None:
        indices = find_clips(args.clips, clips.names)
    album = Album(clips, args)
    args.output_dir.mkdir(parents=True, exist_ok=True)

    def bar(pages: Sequence) -> Any:
        return track(pages, 'drawing', console=Console(stderr=True),
                     transient=True)

    paths = album.draw(indices, bar)
    body = clips.layout.name if clips.layout else 'none, joints only'
    console.print(f'clips {", ".join(map(str, indices))} of '
                  f'{len(clips.names)}, layout: {body}',
                  highlight=False, markup=False)
    console.print(
        f'{len(paths)} picture(s) in {args.output_dir}: {paths[0].name}'
        + (' ...' if len(paths) > 1 else ''),
        highlight=False, markup=False, soft_wrap=True)


if __name__ == '__main__':
    run(main)
