# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Predict the actions in files: recordings, pickles, NTU files, videos.

  infer.py configs/benchmarks/linear/skel2vec_nwucla.py CKPT walk.csv sit.npy
  infer.py CONFIG CKPT long.npy --window 64 --stride 32 --fps 30 \\
      --out-dir predictions --save-vis
"""
import argparse
from typing import Optional

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console

from skel_ssl.apis import SkeletonInferencer
from skel_ssl.apis.config_parts import read_config
from skel_ssl.apis.prediction_results import make_table
from skel_ssl.utils.cli import add_input_arguments, merge_options, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a recognizer')
    parser.add_argument('checkpoint', help='weights of the whole model')
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='files (.npy, .npz, .pkl, .json, .csv, .skeleton, videos with '
        'MMPose) or folders of these')
    parser.add_argument(
        '--topk',
        type=int,
        default=5,
        help='how many of the best classes (default: %(default)s)')
    parser.add_argument(
        '--window',
        type=int,
        help='cut recordings into windows of so many frames (default: each '
        'is one clip)')
    parser.add_argument(
        '--stride',
        type=int,
        help='frames from one window to the next (default: no overlap)')
    parser.add_argument(
        '--fps', type=float, help='frames a second, for times of windows')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=32,
        help='clips or windows at once (default: %(default)s)')
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out files that cannot be used, with a warning for each '
        '(default: the first one ends it)')
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument(
        '--out-dir', help='where predictions.json and pictures go')
    parser.add_argument(
        '--save-vis',
        nargs='?',
        choices=('png', 'gif'),
        const='png',
        help='draw each clip into --out-dir: a contact sheet (png, default) '
        'or an animation (gif)')
    parser.add_argument(
        '--layout',
        help='the layout of the data, a preset or a JSON file: a check, as '
        'nothing turns one layout into another; needed only if the config '
        'does not name it')
    parser.add_argument(
        '--classes', help='text file with the names of the classes, one a '
        'line (default: from the checkpoint, the config or its data)')
    add_input_arguments(parser)
    args = parser.parse_args()
    if args.save_vis and args.out_dir is None:
        parser.error('--save-vis needs --out-dir')
    return args


def load_config(path: str, options: dict, stream: Optional[str]) -> Config:
    """The config with its overrides, whose names must exist."""
    # Building a model prints every parameter at the level of information.
    MMLogger.get_instance('infer', log_level='WARNING')
    cfg = read_config(path)
    merge_options(cfg, options, stream)
    return cfg


def main() -> None:
    args, console = parse_args(), Console()
    inferencer = SkeletonInferencer(
        load_config(args.config, args.cfg_options, args.stream),
        args.checkpoint,
        args.device,
        layout=args.layout,
        classes=args.classes,
        scale=args.scale,
        img_shape=args.img_shape)
    results = inferencer(
        args.inputs,
        batch_size=args.batch_size,
        topk=args.topk,
        window=args.window,
        stride=args.stride,
        fps=args.fps,
        out_dir=args.out_dir,
        save_vis=args.save_vis or False,
        skip_bad=args.skip_bad)
    console.print(make_table(results, inferencer.classes))
    labelled = [x for x in results if 'gt_label' in x]
    if labelled:
        right = sum(x['pred_label'] == x['gt_label'] for x in labelled)
        console.print(
            f'{right} of {len(labelled)} clips with a label are right '
            f'({100 * right / len(labelled):.1f} %)', highlight=False)
    if args.out_dir is not None:
        console.print(f'{args.out_dir}/predictions.json', highlight=False,
                      soft_wrap=True)


if __name__ == '__main__':
    run(main)
