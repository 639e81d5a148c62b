# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""One page about a run, for a browser: it opens offline, and on a phone.

  report.py work_dirs/skel2vec_nwucla
  report.py WORK_DIR --evaluation E.json --dump predictions.pkl --out r.html

Evaluations and dumps that lie in the work dir are found. What is missing is
left out, with the command that makes it.
"""
import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from skel_ssl.report import find_run, make_page, write_page
from skel_ssl.report.overview import read_weights
from skel_ssl.utils.cli import OptionsAction, run
from skel_ssl.visualization.options import read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'work_dir', type=Path, help='where tools/train.py wrote')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='HTML',
        help='the page (default: report.html in the work dir)')
    parser.add_argument(
        '--evaluation',
        nargs='+',
        type=Path,
        default=[],
        metavar='JSON',
        help='what tools/evaluate.py --out wrote')
    parser.add_argument(
        '--dump',
        nargs='+',
        type=Path,
        default=[],
        metavar='PKL',
        help='what tools/test.py --dump wrote')
    parser.add_argument(
        '--checkpoint',
        type=Path,
        metavar='CKPT',
        help='the weights to look at (default: the last ones)')
    parser.add_argument(
        '--no-data',
        action='store_true',
        help='do not read the data set: no clips, no embedding, no names of '
        'classes')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as in train.py, such as '
        'train_dataloader.dataset.ann_file=FILE')
    args = parser.parse_args()
    if args.out is not None and args.out.suffix not in ('.html', '.htm'):
        parser.error(f'--out {args.out} must end in .html')
    return args


def main() -> None:
    args, console = parse_args(), Console()
    found = find_run(args.work_dir)
    cfg = weights = None
    if found.config is not None:
        cfg = read_config(str(found.config), args.cfg_options)
    checkpoint = args.checkpoint or found.checkpoint
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
        weights = read_weights(checkpoint)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        page, sections = make_page(
            found, cfg, weights, args.evaluation, args.dump,
            with_data=not args.no_data,
            command=shlex.join(['python', *sys.argv]), progress=progress)
    out = args.out or args.work_dir / 'report.html'
    out.parent.mkdir(parents=True, exist_ok=True)
    size = write_page(out, page)
    for there, what in ((True, 'sections'), (False, 'left out')):
        titles = [s.title for s in sections if s.found == there]
        if titles:
            console.print(f'{what}: {", ".join(titles)}', highlight=False)
    console.print(f'wrote {out}, {size / 2**20:.2f} MiB', highlight=False,
                  markup=False, soft_wrap=True)


if __name__ == '__main__':
    run(main)
