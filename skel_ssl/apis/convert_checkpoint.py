# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Public checkpoint files as checkpoints of this package."""
import argparse
import os
from dataclasses import dataclass
from types import SimpleNamespace
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import torch
from torch import Tensor

from skel_ssl.utils.checkpoint_loading import load_from_local

from .checkpoint_sizes import (
    ConfigMatch,
    Sizes,
    build_model,
    encoder_prefix,
    match_config,
    read_sizes,
)
from .convert import convert_state_dict, place_weight
from .weights import is_weights

# MAE is MAMP's code with another target: one set of names.
SOURCES = ('skeleton2vec', 'mamp', 'mae', 'hacm')
HACM_JOINTS = 18
# What public files hold beside weights; both are bare namespaces.
_SAFE = {
    'argparse.Namespace': argparse.Namespace,
    'types.SimpleNamespace': SimpleNamespace
}
_TEACHER = 'target.teacher.'


class Entry(NamedTuple):
    """What became of one weight of the file.

    Attributes:
        theirs (str): Its name in the file.
        ours (str): Its name here, or empty if it was left out.
        reason (str): Why it was left out, or empty.
        numel (int): How many numbers it has.
    """
    theirs: str
    ours: str
    reason: str
    numel: int


@dataclass
class Conversion:
    """A converted checkpoint and what is known of it.

    Attributes:
        source (str): One of ``SOURCES``.
        sizes (Sizes): What it is, and how large.
        state_dict (dict[str, Tensor]): The weights under our names.
        entries (list[Entry]): Every weight of the file.
        beside (list[str]): What else the file has, all of it left out.
        epoch (int, optional): The epoch that the file names.
        config (ConfigMatch): The config of this model.
        downstream (ConfigMatch, optional): For pre-training, the linear
            probe on it.
        notes (list[str]): What the file cannot say.
    """
    source: str
    sizes: Sizes
    state_dict: Dict[str, Tensor]
    entries: List[Entry]
    beside: List[str]
    epoch: Optional[int]
    config: ConfigMatch
    downstream: Optional[ConfigMatch]
    notes: List[str]

    def checkpoint(self) -> Dict[str, Any]:
        """What to save: ``meta`` and ``state_dict``, plain data."""
        meta: Dict[str, Any] = dict(
            converted_from=self.source,
            kind=self.sizes.kind,
            config=self.config.name,
            cfg_options=self.config.options)
        if self.epoch is not None:
            meta['epoch'] = self.epoch
        return dict(meta=meta, state_dict=self.state_dict)


def convert_checkpoint(path: Union[str, os.PathLike],
                       source: Optional[str] = None) -> Conversion:
    """Read a public checkpoint of Skeleton2vec, MAMP, MAE or HA-CM.

    Files of pre-training, of linear probes and of fine-tuning. The converted
    weights are loaded into a model of their sizes before they are returned,
    and every one has its place in it.

    Args:
        path (str | os.PathLike): The file. Nothing that it brings along is
            run, see
            :func:`skel_ssl.utils.checkpoint_loading.load_from_local`.
        source (str, optional): ``'skeleton2vec'``, ``'mamp'``, ``'mae'`` or
            ``'hacm'``; by default the names of the weights tell. MAMP and
            MAE have the same.

    Raises:
        ValueError: If the file is of no known method or of another than
            ``source``, or a weight is unknown, missing, misshapen or not
            finite.
    """
    path = os.fspath(path)
    loaded = _load(path)
    weights, beside = find_weights(loaded, path)
    try:
        return _convert(weights, beside, loaded, source)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _convert(weights: Dict[str, Tensor], beside: List[str], loaded: Any,
             source: Optional[str]) -> Conversion:
    if source not in (None, *SOURCES):
        raise ValueError(f'there is no source {source!r}; choose one of '
                         f'{SOURCES}')
    found = recognise_source(weights)
    if source is None:
        source = found
    elif ('mamp' if source == 'mae' else source) != found:
        raise ValueError(
            f'the weights are those of {found}, not of {source}: leave the '
            'source out, and it is found')
    rules = 'mamp' if source == 'mae' else source
    broken = [n for n, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f'{len(broken)} weights hold NaN or infinite '
                         f'numbers, such as {broken[:3]}: the training that '
                         'wrote them had failed')
    converted = convert_state_dict(weights, rules)  # each has a place
    places = {name: place_weight(name, rules) for name in weights}
    entries = [
        Entry(name, place.ours, place.reason, weights[name].numel())
        for name, place in places.items() if place is not None
    ]
    sizes = read_sizes(converted)
    config = match_config(sizes, source)
    _check_complete(converted, sizes, config, entries)
    downstream = None
    if sizes.kind == 'pretrain':
        downstream = match_config(encoder_of(sizes), source)
    epoch = loaded.get('epoch')
    return Conversion(
        source=source,
        sizes=sizes,
        state_dict=converted,
        entries=entries,
        beside=beside,
        epoch=epoch if isinstance(epoch, int) else None,
        config=config,
        downstream=downstream,
        notes=list(_notes(source, sizes, config)))


def encoder_of(sizes: Sizes) -> Sizes:
    """The sizes of the encoder alone."""
    return Sizes(
        kind='encoder',
        **{
            name: getattr(sizes, name)
            for name in ('width', 'depth', 'joints', 'segments', 'patch_len',
                         'coordinates', 'mlp_ratio', 'layer_scale')
        })


def _load(path: str) -> Any:
    return load_from_local(path, map_location='cpu', also=_SAFE)


def find_weights(loaded: Any,
                 path: str) -> Tuple[Dict[str, Tensor], List[str]]:
    """The weights in what a checkpoint file holds.

    Args:
        loaded: The content: ``{'model': weights, ...}``, ``{'model': {'sd':
            weights, ...}, ...}`` or weights alone.
        path (str): The file, for messages.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The weights, and the names of
        what is beside them.

    Raises:
        ValueError: If there are no weights.
    """
    beside = []
    for key in ('model', 'sd'):
        if isinstance(loaded, Mapping) and key in loaded:
            beside += [str(name) for name in loaded if name != key]
            loaded = loaded[key]
    if isinstance(loaded, Mapping) and 'state_dict' in loaded:
        raise ValueError(
            f"{path} has a 'state_dict', as MMEngine writes it, and no public "
            'code of these methods does: if it is of this package, give it '
            'to the tools as it is')
    if not is_weights(loaded):
        what = (f'a dict of {[str(k) for k in loaded][:5]}' if isinstance(
            loaded, Mapping) else f'a {type(loaded).__name__}')
        raise ValueError(
            f"{path} holds {what} where weights should be; they are in "
            "['model'] (MAMP, MAE, HA-CM) or ['model']['sd'] (Skeleton2vec)")
    claims = [
        name for name, value in loaded.items()
        if value.layout != torch.strided or value.device.type != 'cpu'
        or value.nbytes > value.untyped_storage().nbytes()
    ]
    if claims:
        raise ValueError(
            f'{path}: {len(claims)} weights are no plain arrays of as many '
            f'numbers as they say, such as {claims[:3]}: the file is damaged')
    return dict(loaded), beside


def recognise_source(weights: Mapping[str, Tensor]) -> str:
    """Which method's weights these are, by their names.

    A classifier of HA-CM has the same names as one of MAMP, and is known by
    its 18 joints, where MAMP has all 25.

    Args:
        weights (Mapping[str, Tensor]): Public weights.

    Returns:
        str: ``'skeleton2vec'``, ``'mamp'`` (or MAE) or ``'hacm'``.

    Raises:
        ValueError: If they are of none.
    """
    if any('encoder_embedding.' in name for name in weights):
        return 'skeleton2vec'
    if any(name.startswith('joints_embed.') for name in weights):
        if 'mask_token_t' in weights:
            return 'hacm'
        pre_training = 'mask_token' in weights
        joints = weights['pos_embed'].shape[-2] if (
            'pos_embed' in weights and weights['pos_embed'].ndim > 1) else None
        return 'mamp' if pre_training or joints != HACM_JOINTS else 'hacm'
    if any('encoder.embedding.' in name for name in weights):
        raise ValueError(
            "the weights are of Skeleton2vec's first version, which has its "
            'mask tokens in the encoder and no decoder; there is no such '
            'model here')
    raise ValueError(
        'the weights are of none of Skeleton2vec, MAMP, MAE and HA-CM; the '
        f'first names are {list(weights)[:3]}')


def _check_complete(converted: Dict[str, Tensor], sizes: Sizes,
                    config: ConfigMatch, entries: List[Entry]) -> None:
    """Load the weights into a model of their sizes.

    Raises:
        ValueError: If one is missing, left over or of another shape.
    """
    # before a model of sizes is built that a damaged file merely says
    attended = 4 * sizes.depth * sizes.width**2 + 4 * (
        sizes.decoder_depth or 0) * (sizes.decoder_width or 0)**2
    numbers = sum(value.numel() for value in converted.values())
    if attended > numbers:
        raise ValueError(
            f'the file has {numbers} numbers, and a model of its sizes has '
            f'{attended} in its attention layers alone: it is not complete')
    alone = sizes.kind == 'encoder'
    model = build_model(config, encoder_only=alone)
    prefix = encoder_prefix(converted) if alone else ''
    weights = {
        name[len(prefix):]: value
        for name, value in converted.items() if name.startswith(prefix)
    }
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        lines = [line.strip()[:300] for line in str(error).splitlines()[1:4]]
        raise ValueError('shapes that do not go together:\n' +
                         '\n'.join(lines)) from error
    # the teacher's counter is in no file, and a student may come alone
    teacher = any(name.startswith(_TEACHER) for name in converted)
    missing = [
        name for name in missing if name != f'{_TEACHER}steps' and (
            teacher or not name.startswith(_TEACHER))
    ]
    if missing:
        raise ValueError(
            f'there is no weight for {missing[:3]} ({len(missing)} in all): '
            f'the file is no complete {sizes.kind} model')
    if unexpected:
        theirs = [
            e.theirs for e in entries
            if e.ours in {prefix + name
                          for name in unexpected}
        ]
        raise ValueError(
            f'{len(theirs)} of {len(entries)} weights have no place in a '
            f'{sizes.kind} model of these sizes, such as {theirs[:3]}: is it '
            'another version of the code?')


def _notes(source: str, sizes: Sizes, config: ConfigMatch) -> Iterator[str]:
    heads = build_model(config, encoder_only=True).blocks[0].attn.num_heads
    yield (f'the number of attention heads is not in a file: it is {heads} in '
           'this config')
    if sizes.kind in ('pretrain', 'encoder'):
        yield 'the file does not say which data it was trained on'
        if source == 'mamp':
            yield 'files of MAMP and MAE have the same names and shapes'
    elif source in ('mamp', 'hacm'):
        yield (f'with {sizes.joints} joints it is taken for a classifier of '
               f'{source}; its names alone could be of MAMP or HA-CM')
    if sizes.kind == 'pretrain' and source == 'skeleton2vec':
        yield ('to go on with this decoder set neck.unshuffle="reference" '
               'and return_rank=True of the mask; the encoder needs neither')
    if sizes.kind == 'pretrain' and source == 'hacm':
        yield ('to go on with this decoder set neck.unshuffle="rank" and '
               'mask_generator.legacy_order=True; the encoder needs neither')
    if sizes.kind in ('linear', 'finetune'):
        yield ('the public code encodes empty person slots and averages them '
               'in: model.backbone.skip_empty_persons=False does so here')
    if config.options:
        yield ('no config has these sizes; with the settings shown the model '
               'fits, and the data pipeline needs the same frames and joints')
