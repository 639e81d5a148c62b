# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw what a pre-trained model makes of the tokens that it cannot see.

One picture a clip: the input, the mask, the reconstruction before the truth
(of coordinates and motion), and the error of the hidden tokens as colour.

  vis_reconstruction.py configs/mae_nwucla.py CKPT
  vis_reconstruction.py configs/skel2vec_nwucla.py CKPT --format gif
"""
import argparse

from rich.console import Console
from rich.progress import track

from skel_ssl.utils.cli import run
from skel_ssl.visualization.model_clips import (
    build_dataset,
    load_masked_model,
    predict,
    read_clips,
)
from skel_ssl.visualization.options import (
    Studio,
    add_arguments,
    parse,
    read_config,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a pre-training config')
    parser.add_argument('checkpoint', help='weights of the whole model')
    add_arguments(parser, 'work_dirs/reconstructions')
    return parse(parser)


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    model = load_masked_model(cfg, args.checkpoint)
    dataset = build_dataset(cfg, args.augment)
    studio = Studio(args, dataset)
    batch = read_clips(dataset, studio.indices, args.seed)
    samples = predict(model, batch)
    for name, clip, sample in track(
            list(zip(studio.names, batch['inputs'], samples)), 'drawing',
            console=Console(stderr=True), transient=True):
        studio.visualizer.add_datasample(name, clip, sample,
                                         out_file=studio.path(name))
    studio.report()


if __name__ == '__main__':
    run(main)
