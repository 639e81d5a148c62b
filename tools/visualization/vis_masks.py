# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw what the masks of a pre-training config hide.

Masks of data transforms and those that a model makes itself (HA-CM). All
clips go into one picture, a row each; --grid adds a picture of each clip's
tokens.

  vis_masks.py configs/skel2vec_nwucla.py
  vis_masks.py configs/hacm_nwucla.py --checkpoint CKPT --format gif
"""
import argparse
from dataclasses import replace

from mmengine.config import Config

from skel_ssl.utils.cli import run
from skel_ssl.visualization.files import save_figure
from skel_ssl.visualization.masks import draw_mask
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
from skel_ssl.visualization.samples import read_clip, sample_scenes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a pre-training config')
    parser.add_argument(
        '--checkpoint',
        metavar='CKPT',
        help='weights, for masks that depend on them (default: fresh ones)')
    parser.add_argument(
        '--grid',
        action='store_true',
        help="also a PNG of the first person's tokens of each clip")
    add_arguments(parser, 'work_dirs/masks')
    return parse(parser)


def about(cfg: Config) -> str:
    """What makes the masks, with its settings."""
    found = cfg.model.get('mask_generator') or cfg.get('mask')
    if found is None:
        return 'masks'
    settings = ', '.join(f'{k}={v}' for k, v in found.items()
                         if k not in ('type', 'embed_dims'))
    return f'{found.type} ({settings})'


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    model = load_masked_model(cfg, args.checkpoint, args.seed)
    dataset = build_dataset(cfg, args.augment)
    studio = Studio(args, dataset)
    batch = read_clips(dataset, studio.indices, args.seed)
    samples = predict(model, batch)
    scenes, figures = [], {}
    for name, inputs, sample in zip(studio.names, batch['inputs'], samples):
        clip = read_clip(inputs, studio.view)
        scene = sample_scenes(clip, sample)[1]
        scenes.append(replace(scene, title=name))
        if args.grid:
            figures[name] = draw_mask(
                clip.keypoint[0], sample.mask[0, 0].numpy(),
                clip.view.known_body_of(clip.keypoint.shape[2]), f'{name}:',
                vertical='xyz'.index(str(clip.view.up)[1]),
                token_joints=sample.get('token_joints'))
    studio.visualizer.add_scenes(
        'masks', scenes, about(cfg), out_file=studio.path('masks'))
    args.format = 'png'
    for name, figure in figures.items():
        save_figure(studio.path(f'tokens_{name}'), figure)
    studio.report()


if __name__ == '__main__':
    run(main)
