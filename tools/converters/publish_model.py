# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Make a small, safe checkpoint to share: OUT-<first 8 of its SHA-256>.pth.

It holds weights and a little text, and no optimizer, log or schedule:
torch.load(..., weights_only=True) reads it.
"""
import argparse
import hashlib
import io
import re
from pathlib import Path
from typing import Any, Dict, Mapping

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import skel_ssl
from skel_ssl.utils.checkpoint_loading import load_from_local
from skel_ssl.utils.cli import run
from skel_ssl.utils.files import replacing

TEACHER, BACKBONE = 'target.teacher.module.', 'backbone.'
# What is kept of a training's ``meta``.
META = ('cfg', 'dataset_meta', 'epoch', 'iter', 'seed', 'mmengine_version',
        'skel_ssl_version', 'converted_from', 'kind', 'config', 'cfg_options',
        'part', 'fp16')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, metavar='IN')
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument(
        '--part',
        choices=['all', 'backbone', 'teacher'],
        default='all',
        help='all weights (default); the encoder alone; the EMA teacher, as '
        'the encoder')
    parser.add_argument(
        '--fp16', action='store_true', help='round the weights: half the size')
    return parser.parse_args()


def take_part(weights: Mapping[str, Tensor], part: str) -> Dict[str, Tensor]:
    """Pick weights of a checkpoint.

    Args:
        weights (Mapping[str, Tensor]): All of them.
        part (str): ``'all'``, ``'backbone'`` or ``'teacher'``; the last two
            are written as ``backbone.*``.

    Raises:
        ValueError: If there are none.
    """
    if part == 'all':
        return dict(weights)
    prefix = TEACHER if part == 'teacher' else BACKBONE
    taken = {
        BACKBONE + name[len(prefix):]: value
        for name, value in weights.items() if name.startswith(prefix)
    }
    if not taken:
        tops = sorted({name.split('.')[0] for name in weights})
        raise ValueError(f'--part {part}: the checkpoint has no weights under '
                         f'{prefix!r}, only of {", ".join(tops)}')
    return taken


def slim(weights: Mapping[str, Tensor], fp16: bool) -> Dict[str, Tensor]:
    """Weights that own just their numbers, rounded to float16 if wanted.

    Raises:
        ValueError: If a weight is not finite, or too large for float16.
    """
    slimmed = {}
    for name, value in weights.items():
        value = value.detach().clone(memory_format=torch.contiguous_format)
        if fp16 and value.is_floating_point():
            value = value.half()
        if not value.isfinite().all():
            raise ValueError(f'{name} is not finite' + (
                ' in float16: publish without --fp16' if fp16 else ''))
        slimmed[name] = value
    return slimmed


def plain(value: Any) -> Any:
    """Plain data of what a training has noted; objects become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def publish(checkpoint: Mapping[str, Any],
            part: str = 'all',
            fp16: bool = False) -> bytes:
    """The published form of a checkpoint, always the same for the same.

    Args:
        checkpoint (Mapping): What the file holds.
        part (str): See :func:`take_part`.
        fp16 (bool): See :func:`slim`.

    Raises:
        ValueError: If there are no weights.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    if not weights or not all(torch.is_tensor(v) for v in weights.values()):
        raise ValueError("the checkpoint has no 'state_dict' of weights")
    meta = checkpoint.get('meta') or {}
    kept = {name: plain(meta[name]) for name in META if name in meta}
    kept.setdefault('skel_ssl_version', skel_ssl.__version__)
    if part != 'all':
        kept['part'] = part
    if fp16:
        kept['fp16'] = True
    buffer = io.BytesIO()  # a file's name would become part of its bytes
    torch.save(
        dict(meta=kept, state_dict=slim(take_part(weights, part), fp16)),
        buffer)
    return buffer.getvalue()


def published_name(out: Path, content: bytes) -> Path:
    """``OUT-<hash>.pth``; an older hash in the name gives way."""
    stem = out.name[:-len('.pth')] if out.suffix == '.pth' else out.name
    stem = re.sub('-[0-9a-f]{8}$', '', stem)
    digest = hashlib.sha256(content).hexdigest()
    return out.with_name(f'{stem}-{digest[:8]}.pth')


def main() -> None:
    args = parse_args()
    loaded = load_from_local(str(args.checkpoint), map_location='cpu')
    if not isinstance(loaded, Mapping):
        raise ValueError(f'{args.checkpoint} holds a {type(loaded).__name__} '
                         'and no checkpoint')
    try:
        content = publish(loaded, args.part, args.fp16)
    except ValueError as error:
        raise ValueError(f'{args.checkpoint}: {error}') from error
    path = published_name(args.out, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    # read back as a stranger would
    published = torch.load(path, weights_only=True)['state_dict']
    before, after = args.checkpoint.stat().st_size, len(content)
    table = Table(title=f'{args.checkpoint.name}: published', highlight=False)
    for column in ('', 'before', 'after'):
        table.add_column(column, justify='right' if column else 'left')
    table.add_row('size', f'{before / 1e6:.2f} MB', f'{after / 1e6:.2f} MB')
    table.add_row('weights', str(len(loaded.get('state_dict', loaded))),
                  str(len(published)))
    Console().print(table)
    print(f'wrote {path}')


if __name__ == '__main__':
    run(main)
