# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Test a model: a probe's or a fine-tuned checkpoint, or frozen features."""
import argparse
import os.path as osp

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper

import skel_ssl  # noqa: F401  registers everything
from skel_ssl.apis.init_model import load_whole
from skel_ssl.utils.cli import (
    add_common_arguments,
    build_runner,
    merge_common_arguments,
    run,
)
from skel_ssl.utils.streams import check_streams

SHOW_INTERVAL = 20

def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint of the whole model; leave it out with --pretrained '
        'or --untrained')
    parser.add_argument(
        '--untrained',
        action='store_true',
        help='test freshly initialised weights: the floor of a frozen '
        'evaluation')
    parser.add_argument(
        '--seed', type=int, help='seed of the initialisation for --untrained')
    parser.add_argument('--dump', help='write predictions to this .pkl file')
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='draw test clips with true and predicted class into this folder')
    parser.add_argument(
        '--interval',
        type=int,
        help=f'draw every so many clips (default: {SHOW_INTERVAL})')
    add_common_arguments(parser)
    args = parser.parse_args()
    if args.interval is not None and (args.show_dir is None
                                      or args.interval < 1):
        parser.error('--interval is 1 or more, and goes with --show-dir')
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Put the arguments into the config, in place."""
    given = [
        name for name in ('checkpoint', 'pretrained', 'untrained')
        if getattr(args, name)
    ]
    if len(given) != 1:
        raise ValueError(
            'say which weights to test, by one of: a checkpoint, --pretrained '
            f'CKPT, --untrained; got {" and ".join(given) or "none"}')
    merge_common_arguments(cfg, args)
    if cfg.get('test_dataloader') is None:
        raise ValueError(f'{args.config} has no test_dataloader: test with a '
                         'config of configs/benchmarks')
    if args.checkpoint and not osp.isfile(args.checkpoint):
        raise FileNotFoundError(f'there is no checkpoint {args.checkpoint}')
    cfg.load_from = args.checkpoint
    if args.seed is not None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': args.seed}
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise ValueError(f'--dump {args.dump}: give a .pkl file')
        evaluators = cfg.test_evaluator
        if not isinstance(evaluators, (list, tuple)):
            evaluators = [evaluators]
        cfg.test_evaluator = [
            *evaluators,
            dict(type='DumpResults', out_file_path=args.dump)
        ]
    if args.show_dir is not None:
        cfg.custom_hooks = [
            *(cfg.get('custom_hooks') or []),
            dict(
                type='SkeletonVisualizationHook',
                interval=0,
                test_interval=args.interval or SHOW_INTERVAL,
                out_dir=args.show_dir)
        ]


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    merge_args(cfg, args)
    runner = build_runner(cfg)
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    if args.checkpoint:
        # MMEngine would test what does not fit, too, with a line on the log.
        meta = load_whole(model, args.checkpoint)
        check_streams(cfg, meta, args.checkpoint)
    else:
        model.init_weights()
    runner.test()
    if args.show_dir is not None and is_main_process():
        print(f'pictures are in {args.show_dir}')


if __name__ == '__main__':
    run(main)
