# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the command-line tools share."""
import argparse
import difflib
import faulthandler
import logging
import os
import os.path as osp
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import barrier, get_rank, is_distributed
from mmengine.logging import print_log
from mmengine.runner import Runner
from rich.console import Console

from skel_ssl.apis.pretrained import pretrained_init_cfg
from skel_ssl.apis.weights import read_weights
from skel_ssl.compat import init_dist_without_accelerator
from skel_ssl.datasets.transforms.streams import STREAMS

from .faults import explain, log_must_be_writable
from .streams import set_stream, stream_fault

DEBUG_HINT = '(SKEL_SSL_DEBUG=1 shows where)'


class OptionsAction(DictAction):
    """``DictAction`` that says what is wrong with a word that is no
    ``key=value``."""

    def __call__(self,
                 parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace,
                 values: Any,
                 option_string: Optional[str] = None) -> None:
        for word in values or ():
            if '=' not in word:
                raise argparse.ArgumentError(
                    self, f'{word!r} is no key=value: write {word}=... '
                    'without white space, one word a setting')
        super().__call__(parser, namespace, values, option_string)
# Keys that a config need not have, but that mean something to the runner or
# the tools.
_RUNNER_KEYS = {
    'work_dir', 'load_from', 'resume', 'randomness', 'auto_scale_lr',
    'val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader',
    'test_cfg', 'test_evaluator', 'custom_hooks', 'param_scheduler',
    'launcher', 'log_level', 'model_wrapper_cfg', 'cfg', 'compile',
    'data_preprocessor', 'experiment_name', 'find_unused_parameters',
    'activation_checkpointing', 'runner_type', 'sync_bn'
}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of training and testing alike."""
    parser.add_argument('--work-dir', help='where logs and results go')
    parser.add_argument(
        '--pretrained',
        metavar='CKPT',
        help='pre-training checkpoint to load into the backbone; every weight '
        'must have its place')
    parser.add_argument(
        '--pretrained-prefix',
        metavar='PREFIX',
        help="which weights of it: 'target.teacher.module.' (the EMA teacher; "
        "default if there is one), 'backbone.' (the student)")
    parser.add_argument(
        '--stream',
        choices=STREAMS,
        help='feed this stream instead of the one in the config: joints, '
        'bones, or the motion of either')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config: key=value with the dots of '
        'nested keys, lists as key="[a,b]" or key=a,b, no white space')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def merge_common_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Put the arguments of both tools into the config, in place.

    Raises:
        ValueError: If ``--cfg-options`` names a setting that neither the
            config nor the runner has, the pre-trained weights do not fit, or
            the data have no streams to choose from (:func:`set_stream`).
    """
    if 'LOCAL_RANK' not in os.environ:
        os.environ['LOCAL_RANK'] = str(args.local_rank)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = default_work_dir(args.config, args.stream)
    merge_options(cfg, args.cfg_options, args.stream)
    if args.pretrained_prefix is not None and args.pretrained is None:
        raise ValueError('--pretrained-prefix goes with --pretrained')
    if args.pretrained is not None:
        cfg.model.backbone.init_cfg = pretrained_init_cfg(
            cfg.model.backbone, args.pretrained, args.pretrained_prefix)
        fault = stream_fault(cfg, read_weights(args.pretrained)[1])
        if fault is not None:  # which may be what is studied
            print_log(f'{args.pretrained} {fault}', logger='current',
                      level=logging.WARNING)
    if init_dist_without_accelerator(args.launcher):
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False))
        if cfg.pop('sync_bn', None):
            print_log(
                'batch norm is not synchronised across processes: torch does '
                'it on GPUs only',
                logger='current',
                level=logging.WARNING)


def default_work_dir(config: str, stream: Optional[str] = None) -> str:
    """Where a run goes that does not say where.

    As with MMAction2's tools into a folder of ``work_dirs`` that is called
    as the config. A config of ``configs/benchmarks`` keeps its path from
    there: most are called as the pre-training that they begin with.

    Args:
        config (str): Path of the config.
        stream (str, optional): Of the data, if it was chosen: it never
            overwrites another's.
    """
    parts = Path(config).absolute().with_suffix('').parts
    start = len(parts) - 1
    for i, pair in enumerate(zip(parts, parts[1:])):
        if pair == ('configs', 'benchmarks'):
            start = i + 1
    name = osp.join(*parts[start:])
    return osp.join('./work_dirs', name + (f'_{stream}' if stream else ''))


def merge_options(cfg: Config, options: Optional[Mapping[str, Any]],
                  stream: Optional[str]) -> None:
    """Put ``--cfg-options`` and ``--stream`` into a config, in place.

    Raises:
        ValueError: See :func:`check_option_names` and :func:`set_stream`.
    """
    if options:
        check_option_names(cfg, options)
        cfg.merge_from_dict(options)
    if stream is not None:
        set_stream(cfg, stream)


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the tools that give recordings to a model."""
    parser.add_argument(
        '--scale',
        type=float,
        default=1.,
        help='factor of the coordinates: .001 makes millimetres metres '
        '(default: 1)')
    parser.add_argument(
        '--img-shape',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images that 2D coordinates are pixels of, where a file '
        'does not say it')
    parser.add_argument(
        '--stream',
        choices=STREAMS,
        help='the stream that the model was trained on, if it was chosen by '
        '--stream')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py')


def check_option_names(cfg: Config, options: Iterable[str]) -> None:
    """Refuse overrides of settings that do not exist.

    A new key may be set in a part of the model or the data, whose
    constructor knows its own arguments; a new key at the top, or below one
    that is not there, would be read by nobody.

    Raises:
        ValueError: With the nearest names that do exist.
    """
    for option in options:
        here = cfg
        parts = option.split('.')
        for depth, part in enumerate(parts[:-1] or parts):
            if isinstance(here, (list, tuple)):
                if not part.isdigit() or int(part) >= len(here):
                    raise ValueError(
                        f'--cfg-options {option}: '
                        f'{".".join(parts[:depth])} is a list of {len(here)},'
                        f' {part!r} is not a place in it')
                here = here[int(part)]
                continue
            known = list(here) + (sorted(_RUNNER_KEYS) if depth == 0 else [])
            if part not in known:
                near = difflib.get_close_matches(part, known, 3, 0.5)
                hint = f'; did you mean {" or ".join(near)}?' if near else ''
                raise ValueError(
                    f'--cfg-options {option}: the config has no setting '
                    f'{".".join(parts[:depth + 1])}{hint}')
            here = here.get(part)
            if here is None:
                break


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config, a custom one if it names one."""
    from mmaction.registry import RUNNERS
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def leave_processes(status: int = 0) -> None:
    """End this process of a distributed run, at once, where it must.

    All is written by now. Without a GPU, torch's gloo threads can abort or
    hang the interpreter on its way out ("terminate called without an active
    exception"), and a launcher would call a finished run a failure. After a
    fault it must not wait for processes that wait for it.

    Args:
        status (int): The exit status; not 0 after a fault.
    """
    if not is_distributed():
        return
    if status == 0:
        if torch.distributed.get_backend() != 'gloo':
            return
        barrier()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(main: Callable[[], None], failed: int = 1) -> None:
    """Run a tool; a fault of the input ends in one readable message.

    So does a fault of the machine, see :func:`~.faults.explain`. Set
    ``SKEL_SSL_DEBUG=1`` for the traceback. A signal that ends the process, as
    a bus error does when a mapped file is cut short, says in which line.

    Args:
        main (Callable): The tool.
        failed (int): Its exit status then.
    """
    if not faulthandler.is_enabled():
        faulthandler.enable()
    try:
        with log_must_be_writable():
            main()
    except Exception as error:
        if hasattr(signal, 'SIGCHLD'):  # no second error of a dead worker
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        text = explain(error)
        if text is None or os.environ.get('SKEL_SSL_DEBUG') == '1':
            if is_distributed():
                traceback.print_exc()
                leave_processes(failed)
            raise
        who = f' in rank {get_rank()}' if is_distributed() else ''
        Console(stderr=True).print(f'[bold red]error{who}:[/]', end=' ')
        print(f'{text}\n{DEBUG_HINT}', file=sys.stderr)
        leave_processes(failed)
        sys.exit(failed)
    leave_processes()
