# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Train a model: pre-training, probes, fine-tuning."""
import argparse
import os
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.device import is_cuda_available, is_npu_available
from mmengine.model import is_model_wrapper
from torch import nn

import skel_ssl  # noqa: F401  registers everything
from skel_ssl.apis.init_model import load_whole
from skel_ssl.utils.cli import (
    add_common_arguments,
    build_runner,
    merge_common_arguments,
    run,
)
from skel_ssl.utils.person_batches import PLACES, use_person_batches


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue a run: from a checkpoint, or from the latest one in '
        'the work dir if none is named')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: bfloat16 where the device has it, else float16 '
        'with a gradient scaler')
    parser.add_argument(
        '--amp-dtype',
        choices=['bfloat16', 'float16'],
        help='the type for --amp')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not validate during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate from the batch size that the config was '
        'made for to the actual one')
    parser.add_argument(
        '--seed', type=int, help="random seed; overrides the config's")
    parser.add_argument(
        '--diff-rank-seed',
        action='store_true',
        help='different seeds for different ranks')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='deterministic kernels on CUDA')
    parser.add_argument(
        '--person-batches',
        choices=PLACES,
        help='make whole batches at once, of persons in pre-training, of '
        'clips in fine-tuning and probes: in the workers of the data loader, '
        'or on the device that trains, where the data then stay; see '
        'data/README.md')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the blocks of the model; the shapes stay the same, and '
        'the gain is largest, with --person-batches of a pre-training')
    add_common_arguments(parser)
    return parser.parse_args()


def set_amp(cfg: Config, dtype: str) -> None:
    """Choose the optimizer wrapper for mixed precision, in place."""
    accelerator = is_cuda_available() or is_npu_available()
    if dtype is None:
        import torch
        bf16 = not is_cuda_available() or torch.cuda.is_bf16_supported()
        dtype = 'bfloat16' if bf16 else 'float16'
    known = ('OptimWrapper', 'AsyncOptimWrapper', 'AmpOptimWrapper',
             'AutocastOptimWrapper')
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in known:
        raise ValueError(f'--amp cannot replace optim_wrapper.type={wrapper}: '
                         f'it knows {", ".join(known)}')
    if dtype == 'bfloat16':
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
        for name in ('loss_scale', 'dtype', 'use_fsdp'):  # AmpOptimWrapper's
            cfg.optim_wrapper.pop(name, None)
    elif not accelerator:
        raise ValueError('--amp-dtype float16 needs an accelerator; on this '
                         'machine use --amp-dtype bfloat16')
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = dtype
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def check_work_dir(work_dir: str, pretrained: Optional[str]) -> None:
    """Raise a ValueError if a run would replace what it begins with."""
    if pretrained is not None and Path(pretrained).resolve().parent == Path(
            work_dir).resolve():
        raise ValueError(
            f'--pretrained {pretrained} lies in the work dir of this run, '
            'whose checkpoints would take the place of those that are there: '
            'give another --work-dir')


def check_resumed(model: nn.Module, checkpoint: str) -> None:
    """Raise a ValueError if a run cannot go on from a checkpoint.

    MMEngine would go on with fresh weights in the place of those that do not
    fit, and with the optimizer of another model.

    Args:
        model (nn.Module): The model, not trained yet.
        checkpoint (str): The file.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    load_whole(inner, checkpoint)


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Put the arguments into the config, in place."""
    merge_common_arguments(cfg, args)
    check_work_dir(cfg.work_dir, args.pretrained)
    if args.person_batches is not None:
        use_person_batches(cfg, args.person_batches)
    if args.compile:
        # Of clips, some have more persons than others.
        whole = (args.person_batches is not None
                 and cfg.train_dataloader.dataset.type == 'PersonDataset')
        static = dict(dynamic=False) if whole else {}
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(type='CompileHook', **static)
        ]
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp or args.amp_dtype:
        set_amp(cfg, args.amp_dtype)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict('
                             'base_batch_size=...) in the config')
        cfg.auto_scale_lr.enable = True
    randomness = dict(cfg.get('randomness') or {})
    if args.seed is not None:
        randomness['seed'] = args.seed
    if args.deterministic:  # what cuBLAS asks for, before it is loaded
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    for flag in ('diff_rank_seed', 'deterministic'):
        if getattr(args, flag):
            randomness[flag] = True
    cfg.randomness = randomness


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    merge_args(cfg, args)
    runner = build_runner(cfg)
    if args.resume not in (None, 'auto'):
        check_resumed(runner.model, args.resume)
    runner.train()


if __name__ == '__main__':
    run(main)
