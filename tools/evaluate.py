# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Evaluate a frozen encoder: linear probes, kNN, retrieval, few labels.

CONFIG is one that trains a recognizer on the encoder: of
configs/benchmarks/linear, or any of MMAction2's for a skeleton backbone. The
features are extracted once and kept; a second call takes seconds.
"""
import argparse
import shlex
import sys
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import Progress

from skel_ssl.evaluation.encoders import FLOORS
from skel_ssl.evaluation.evaluate import evaluate_frozen
from skel_ssl.evaluation.feature_cache import FeatureCache, hash_object
from skel_ssl.evaluation.features import PERSONS
from skel_ssl.evaluation.frozen import PROTOCOLS, Settings
from skel_ssl.evaluation.report import as_record, footnotes, make_table
from skel_ssl.models.ops.pooling import READOUTS
from skel_ssl.utils.cli import OptionsAction, merge_options, run
from skel_ssl.utils.environment import environment
from skel_ssl.utils.files import write_json
from skel_ssl.utils.streams import STREAMS


def parse_args() -> argparse.Namespace:
    defaults = Settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='checkpoint',
        help='pre-trained weights; several, if it was pre-trained with '
        'several seeds')
    parser.add_argument(
        '--protocols',
        nargs='+',
        choices=PROTOCOLS,
        default=list(PROTOCOLS),
        help='what to run (default: all)')
    parser.add_argument(
        '--readouts',
        nargs='+',
        choices=READOUTS,
        default=['mean'],
        help='how tokens become one vector (default: mean)')
    parser.add_argument(
        '--persons',
        choices=PERSONS,
        default='valid',
        help='average the persons present, or all slots as in the papers '
        '(default: %(default)s)')
    parser.add_argument(
        '--floors',
        nargs='*',
        choices=FLOORS,
        default=list(FLOORS),
        help='what to compare with (default: both)')
    parser.add_argument(
        '--seeds',
        type=int,
        default=defaults.seeds,
        help='runs of the linear probe, and number of random encoders '
        '(default: %(default)s)')
    parser.add_argument(
        '--lrs',
        nargs='+',
        type=float,
        default=list(defaults.learning_rates),
        help='learning rates of the linear probe; of several, one is chosen '
        'by cross-validation over the subjects of the training set '
        '(default: %(default)s)')
    parser.add_argument(
        '--epochs',
        type=int,
        default=defaults.epochs,
        help='epochs of the linear probe (default: %(default)s)')
    parser.add_argument(
        '--penalties',
        nargs='+',
        type=float,
        default=list(defaults.penalties),
        help='penalties of the logistic regression; one is chosen likewise '
        '(default: %(default)s)')
    parser.add_argument(
        '--ks',
        nargs='+',
        type=int,
        default=list(defaults.ks),
        help='numbers of neighbours (default: %(default)s)')
    parser.add_argument(
        '--majority',
        action='store_true',
        help='neighbours have one vote each, whatever their similarity')
    parser.add_argument(
        '--ratios',
        nargs='+',
        type=float,
        default=list(defaults.ratios),
        help='shares of the labels (default: %(default)s)')
    parser.add_argument(
        '--shots',
        nargs='+',
        type=int,
        default=list(defaults.shots),
        help='numbers of labelled clips of each class (default: %(default)s)')
    parser.add_argument(
        '--subsets',
        type=int,
        default=defaults.subsets,
        help='few-label subsets of each share or number '
        '(default: %(default)s)')
    parser.add_argument(
        '--views',
        type=int,
        default=defaults.views,
        help='augmented copies of each training clip for all probes; the '
        "augmentation is the config's train_pipeline (default: %(default)s)")
    parser.add_argument(
        '--stream', choices=STREAMS, help='joints, bones or their motion')
    parser.add_argument(
        '--pretrained-prefix',
        metavar='PREFIX',
        help="which weights of the checkpoint: 'target.teacher.module.' (the "
        "EMA teacher; default if there is one), 'backbone.' (the student)")
    parser.add_argument(
        '--cache-dir',
        default='work_dirs/features',
        help='where features are kept (default: %(default)s)')
    parser.add_argument(
        '--no-cache', action='store_true', help='neither read nor keep any')
    parser.add_argument(
        '--out',
        type=Path,
        help='the JSON file (default: in work_dirs/evaluate)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py')
    args = parser.parse_args()
    if args.seeds < 1 or args.subsets < 1 or args.epochs < 1:
        parser.error('--seeds, --subsets and --epochs are 1 or more')
    if args.views < 0:
        parser.error('--views is 0 or more')
    return args


def main() -> None:
    args, start = parse_args(), time.monotonic()
    console = Console()
    # Building a model prints every parameter at the level of information.
    MMLogger.get_instance('evaluate', log_level='WARNING')
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options, args.stream)
    for checkpoint in args.checkpoints:
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
    settings = Settings(
        seeds=args.seeds,
        learning_rates=args.lrs,
        penalties=args.penalties,
        epochs=args.epochs,
        ks=args.ks,
        temperature=None if args.majority else Settings.temperature,
        ratios=args.ratios,
        subsets=args.subsets,
        shots=args.shots,
        views=args.views)
    cache = None if args.no_cache else FeatureCache(args.cache_dir)
    with Progress(console=console, transient=True) as progress:
        evaluation = evaluate_frozen(
            cfg,
            args.checkpoints,
            args.protocols,
            args.readouts,
            args.persons,
            args.floors,
            settings,
            args.pretrained_prefix,
            cache,
            num_workers=cfg.train_dataloader.get('num_workers', 0),
            progress=progress)

    name = Path(args.config).stem
    record = as_record(evaluation)
    record.update(
        config=args.config,
        config_sha256=hash_object(cfg.to_dict()),
        stream=args.stream,
        environment=environment(),
        command=shlex.join(['python', *sys.argv]),
        seconds=round(time.monotonic() - start, 1))
    out = args.out
    if out is None:
        weights = hash_object(record['runs'])[:8]
        out = Path('work_dirs/evaluate') / f'{name}_{weights}.json'
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, record)
    console.print(make_table(evaluation, f'{name}, frozen encoder'))
    for line in footnotes(evaluation):
        console.print(line, style='dim', highlight=False)
    for line in evaluation.warnings:
        console.print('[bold red]warning:[/]', end=' ')
        console.print(line, highlight=False, markup=False)
    console.print(f'{out}, {time.monotonic() - start:.0f} s', highlight=False)


if __name__ == '__main__':
    run(main)
