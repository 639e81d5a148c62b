# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Export a recognizer, or the features of an encoder, to ONNX.

The input is "keypoint", (N, M, T, V, C) float32 with a free batch N: clips as
the config's pipeline makes them. The file is compared with PyTorch on 100
random clips, and only written if they agree to 1e-4.
"""
import argparse
from pathlib import Path

from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from skel_ssl.apis.config_parts import read_config
from skel_ssl.apis.export import (
    FEATURES,
    OPSET,
    export_onnx,
    load_for_export,
)
from skel_ssl.utils.cli import OptionsAction, check_option_names, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config',
        help='config of a recognizer; with --features also of a pre-training')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument(
        '--out', type=Path, required=True, help='the .onnx file to write')
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        '--features',
        choices=FEATURES,
        help="leave the head out: the mean of a clip's tokens, or all")
    output.add_argument(
        '--softmax',
        action='store_true',
        help='probabilities in place of scores')
    parser.add_argument(
        '--pretrained-prefix',
        metavar='PREFIX',
        help='which weights --features takes, see tools/train.py')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=4,
        metavar=('M', 'T', 'V', 'C'),
        help='of the input, if the config does not say it')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config: key=value')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('skel_ssl', log_level='WARNING')
    cfg = read_config(args.config)
    if args.cfg_options:
        check_option_names(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    source = load_for_export(cfg, args.checkpoint, args.features, args.softmax,
                             args.shape, args.pretrained_prefix)
    print('exporting, and comparing 100 clips with PyTorch ...', flush=True)
    report = export_onnx(*source[:3], args.out, source.output_name)
    table = Table(title=str(args.out), show_header=False)
    table.add_row('input', f'keypoint {report.input_shape} float32')
    table.add_row('output', f'{source.output_name} {report.output_shape}')
    table.add_row('opset', str(OPSET))
    table.add_row('size', f'{args.out.stat().st_size / 1e6:.1f} MB')
    table.add_row('compared with PyTorch', f'{report.num_clips} clips')
    table.add_row('largest difference', f'{report.largest:.2g}')
    Console(highlight=False).print(table)


if __name__ == '__main__':
    run(main)
