# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Write the features of clips into an .npz, from a frozen encoder.

  extract_features.py configs/skel2vec_nwucla.py CKPT recordings --out f.npz
  extract_features.py configs/benchmarks/linear/skel2vec_nwucla.py CKPT \\
      --split val --out val.npz --readout joint_std
"""
import argparse
from functools import partial
from pathlib import Path
from typing import Optional

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from skel_ssl.apis import ClipFeatures, FeatureExtractor
from skel_ssl.apis.config_parts import read_config
from skel_ssl.apis.feature_extractor import TOKENS, WEIGHTS
from skel_ssl.models.ops.pooling import READOUTS
from skel_ssl.utils.cli import add_input_arguments, merge_options, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='config of a pre-training or of a recognizer')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='INPUT',
        help='files (.npy, .npz, .pkl, .json, .csv, .skeleton, videos with '
        'MMPose) or folders of these')
    parser.add_argument(
        '--split',
        choices=('train', 'val'),
        help="in place of inputs: the config's own data, not augmented")
    parser.add_argument(
        '--out', type=Path, required=True, help='the .npz to write')
    parser.add_argument(
        '--readout',
        choices=(*READOUTS, TOKENS),
        default='mean',
        help='how tokens become one vector (default: %(default)s); tokens: '
        'all of them, person by person')
    parser.add_argument(
        '--per-person',
        action='store_true',
        help='a row a person, not a clip')
    parser.add_argument(
        '--weights',
        choices=tuple(WEIGHTS),
        help='default: the teacher if there is one')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=64,
        help='clips at once (default: %(default)s)')
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out inputs that cannot be used, with a warning for each '
        '(default: the first one ends it)')
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument(
        '--layout',
        help='the layout of the data, a preset or a JSON file: a check, as '
        'nothing turns one layout into another; needed only if the config '
        'does not name it')
    add_input_arguments(parser)
    args = parser.parse_args()
    if bool(args.inputs) == bool(args.split):
        parser.error('give either inputs or --split')
    if args.skip_bad and args.split:
        parser.error('--skip-bad is for inputs, not for --split')
    if args.scale != 1 and args.split:
        parser.error('--scale is for inputs, not for --split')
    return args


def extract(args: argparse.Namespace, console: Console) -> ClipFeatures:
    """Build the encoder and run it, with a progress bar."""
    # The dataset reports how many clips it has at the level of information.
    MMLogger.get_instance('extract', log_level='WARNING')
    cfg = read_config(args.config)
    merge_options(cfg, args.cfg_options, args.stream)
    extractor = FeatureExtractor(cfg, args.checkpoint, args.weights,
                                 args.device, args.layout,
                                 scale=args.scale,
                                 img_shape=args.img_shape)
    console.print(
        f'encoder: {type(extractor.backbone).__name__}, weights under '
        f'{extractor.about["prefix"]!r}', highlight=False)
    work = (extractor.extract_split if args.split else partial(
        extractor.extract, skip_bad=args.skip_bad))
    screen = Console(stderr=True)
    with Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=screen,
            transient=True,
            disable=not screen.is_terminal) as progress:
        bar = progress.add_task('clips')

        def set_total(total: Optional[int]) -> None:
            progress.update(bar, total=total)

        return work(
            args.split or args.inputs,
            args.readout,
            args.per_person,
            args.batch_size,
            args.out,
            on_total=set_total,
            on_batch=lambda n: progress.advance(bar, n))


def main() -> None:
    args, console = parse_args(), Console()
    found = extract(args, console)
    labelled = int((found.labels != -1).sum())
    console.print(
        f'{args.out}: features {found.features.shape}, {labelled} of '
        f'{len(found.labels)} rows with a label, read-out {args.readout}',
        highlight=False, markup=False, soft_wrap=True)


if __name__ == '__main__':
    run(main)
