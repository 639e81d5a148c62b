# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Choose the stream (joints, bones, motion) of a config's data."""
import re
from typing import Any, Iterator, List, Mapping, Optional, Sequence

from mmengine.config import Config

from skel_ssl.datasets.transforms.streams import STREAMS

_MAKERS = ('GenSkeFeat', 'PoseGenSkeFeat')
_PARTS = ('train', 'val', 'test')
# In the text of a config, which is not executed for it.
_FEATS = re.compile(r"""(?<!\w)feats['"]?\s*[=:]\s*\[([^\]]*)\]""")
_NAME = re.compile(r'\w+')


def set_stream(cfg: Config, stream: str) -> None:
    """Let every data loader of a config give one stream, in place.

    ``feats`` of each ``GenSkeFeat`` and ``PoseGenSkeFeat`` becomes
    ``[stream]``, also inside of wrappers of data sets and in pipelines that
    the config has by a name, such as ``train_pipeline``, of which an
    evaluation takes its augmented clips; nothing else changes.

    Args:
        cfg (Config): With ``train_``, ``val_`` and ``test_dataloader``; those
            that are None or missing are left alone.
        stream (str): ``'j'``, ``'b'``, ``'jm'`` or ``'bm'``.

    Raises:
        ValueError: If there is no such stream, the config has no data
            loader, or a pipeline makes no stream. The config is then as it
            was.
    """
    if stream not in STREAMS:
        raise ValueError(f'there is no stream {stream!r}, it is one of '
                         f'{", ".join(map(repr, STREAMS))}')
    found: List[dict] = []
    for part in _PARTS:
        name = f'{part}_dataloader'
        if cfg.get(name) is None:
            continue
        pipelines = list(_pipelines(cfg[name]['dataset']))
        makers = [_makers(pipeline) for pipeline in pipelines]
        if not makers or not all(makers):
            raise ValueError(
                f'stream {stream!r}: a pipeline of {name} makes no stream; '
                "add dict(type='PoseGenSkeFeat', layout='ntu25', "
                "feats=['j']), with the layout of the data, before its "
                'FormatGCNInput')
        found += [t for transforms in makers for t in transforms]
    if not found:
        raise ValueError(f'stream {stream!r}: the config has no data loader '
                         'to set it in')
    for name, pipeline in cfg.items():
        if name.endswith('_pipeline') and isinstance(pipeline, list):
            found += _makers(pipeline)
    for transform in found:
        transform['feats'] = [stream]


def streams_of(pipeline: Sequence[dict]) -> List[List[str]]:
    """The ``feats`` of all that makes streams in a pipeline.

    Args:
        pipeline (Sequence[dict]): Configs of transforms.
    """
    return [list(t.get('feats', ('j', ))) for t in _makers(pipeline)]


def stream_fault(cfg: Config, meta: Mapping[str, Any]) -> Optional[str]:
    """Say how data differ from those that a model was trained on.

    Args:
        cfg (Config): Makes the data.
        meta (Mapping): ``meta`` of the model's checkpoint; MMEngine's has
            the config that it was trained with, as text.

    Returns:
        str, optional: None if a stream is in both, or if there is no text,
        or none of the two chooses a stream.
    """
    written = _FEATS.findall(str(meta.get('cfg', '')))
    trained = {name for feats in written for name in _NAME.findall(feats)}
    parts = [cfg.get(f'{part}_dataloader') for part in _PARTS]
    given = {name for part in parts if part
             for pipeline in _pipelines(part['dataset'])
             for feats in streams_of(pipeline) for name in feats}
    if not trained or not given or trained & given:
        return None
    wanted = ' '.join(sorted(trained))
    return (f'was trained on the stream {wanted}, and the config makes '
            f'{" ".join(sorted(given))}: give --stream {wanted}, or the '
            'config in the work dir of that training')


def check_streams(cfg: Config, meta: Mapping[str, Any], path: str) -> None:
    """Raise a ValueError if there is a :func:`stream_fault`."""
    fault = stream_fault(cfg, meta)
    if fault is not None:
        raise ValueError(f'{path} {fault}')


def _makers(pipeline: Sequence[dict]) -> List[dict]:
    return [t for t in pipeline if _type_name(t) in _MAKERS]


def _pipelines(dataset: dict) -> Iterator[List[dict]]:
    """The pipelines of a data set and of those that it wraps."""
    if 'pipeline' in dataset:
        yield dataset['pipeline']
    if 'dataset' in dataset:
        yield from _pipelines(dataset['dataset'])
    for part in dataset.get('datasets', ()):
        yield from _pipelines(part)


def _type_name(transform: dict) -> str:
    """``'GenSkeFeat'`` for the class and for ``'mmaction.GenSkeFeat'``."""
    kind = transform['type']
    return getattr(kind, '__name__', kind).split('.')[-1]
