# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw the features of a frozen encoder in the plane, clips by class.

CONFIG is one that trains a recognizer on the encoder, as for
tools/evaluate.py.

  vis_embedding.py configs/benchmarks/linear/skel2vec_nwucla.py CKPT
"""
import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from skel_ssl.evaluation.encoders import make_encoders
from skel_ssl.evaluation.feature_source import FeatureSource
from skel_ssl.models.ops.pooling import READOUTS
from skel_ssl.utils.cli import OptionsAction, run
from skel_ssl.visualization.embedding import (
    METHODS,
    check_method,
    draw_embedding,
    embed,
)
from skel_ssl.visualization.files import save_figure
from skel_ssl.visualization.model_clips import class_names
from skel_ssl.visualization.options import read_config
from skel_ssl.visualization.samples import class_name


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='a config of configs/benchmarks, such as linear/...')
    parser.add_argument('checkpoint', help='pre-trained weights')
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='tsne',
        help='umap needs "pip install umap-learn" (default: %(default)s)')
    parser.add_argument(
        '--readout',
        choices=READOUTS,
        default='mean',
        help='how tokens become one vector (default: %(default)s)')
    parser.add_argument(
        '--part',
        choices=('train', 'test'),
        default='test',
        help='which clips (default: %(default)s)')
    parser.add_argument(
        '--max-clips',
        type=int,
        default=2000,
        help='of more, so many are taken, evenly spread (default: '
        '%(default)s)')
    parser.add_argument(
        '--perplexity',
        type=float,
        default=30,
        help='about how many neighbours count (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the random numbers')
    parser.add_argument(
        '--pretrained-prefix',
        metavar='PREFIX',
        help="which weights: 'target.teacher.module.' (the EMA teacher; "
        "default if there is one), 'backbone.' (the student)")
    parser.add_argument(
        '--out',
        type=Path,
        metavar='PNG',
        help='the picture (default: in work_dirs/embeddings)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py')
    args = parser.parse_args()
    if args.max_clips < 5 or args.perplexity <= 0 or args.seed < 0:
        parser.error('--max-clips is 5 or more, --perplexity above 0 and '
                     '--seed 0 or more')
    if args.out is not None and args.out.suffix != '.png':
        parser.error(f'--out {args.out} must end in .png')
    return args


def main() -> None:
    args, console = parse_args(), Console()
    check_method(args.method)
    cfg = read_config(args.config, args.cfg_options)
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'there is no checkpoint {args.checkpoint}')
    [encoder] = make_encoders(cfg, [args.checkpoint], floors=(),
                              prefix=args.pretrained_prefix)
    source = FeatureSource(cfg)
    dataset = source.dataset(args.part)
    total = len(dataset)
    if total > args.max_clips:
        places = np.linspace(0, total - 1, args.max_clips)
        dataset.get_subset_(places.round().astype(int).tolist())
    with Progress(console=console, transient=True) as progress:
        clips = source.features(encoder, args.part, [args.readout],
                                progress)[args.readout]
    names = class_names(dataset)
    names = [class_name(i, names) for i in range(clips.labels.max() + 1)]
    points = embed(clips.features, args.method, args.seed, args.perplexity)
    name = Path(args.config).stem
    out = args.out or Path('work_dirs/embeddings') / (
        f'{name}_{args.part}_{args.method}.png')
    out.parent.mkdir(parents=True, exist_ok=True)
    method = {'tsne': 't-SNE', 'umap': 'UMAP'}[args.method]
    save_figure(out, draw_embedding(
        points, clips.labels, names,
        f'{name}: {method} of {len(clips)} {args.part} clips'))
    console.print(f'wrote {out}', highlight=False, markup=False,
                  soft_wrap=True)


if __name__ == '__main__':
    run(main)
