# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The sizes of a model, read from its weights, and the configs they fit."""
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import Tensor

import skel_ssl
from skel_ssl.datasets.layouts import LAYOUTS, get_layout
from skel_ssl.registry import MODELS

# pre-training; an encoder alone; a linear probe; a fine-tuned classifier
KINDS = ('pretrain', 'encoder', 'linear', 'finetune')
# How the configs of a method are called; MAE's and MAMP's weights have the
# same names and sizes.
PRETRAIN_NAMES = {
    'skeleton2vec': ('skel2vec', ),
    'mamp': ('mamp', 'mae'),
    'mae': ('mae', ),
    'hacm': ('hacm', )
}
DOWNSTREAM_NAMES = dict(
    skeleton2vec='skel2vec', mamp='mamp', mae='mamp', hacm='hacm')
# What the methods were published on; best first, where several fit. The
# small models of other data sets have other epsilons, which no size shows.
DATASETS = ('ntu60', 'ntu60_xview', 'ntu120', 'ntu120_xset', 'pkummd1',
            'pkummd2')


@dataclass(frozen=True)
class Sizes:
    """What weights say of their model; the number of heads they do not say.

    Attributes:
        kind (str): One of ``KINDS``.
        width (int): D of the encoder.
        depth (int): Blocks of the encoder.
        joints (int): Joints that are tokens.
        segments (int): Segments of a clip, S.
        patch_len (int): Frames of a segment.
        coordinates (int): Coordinates of a joint.
        mlp_ratio (float): Hidden width of the MLPs in units of D.
        layer_scale (bool): Whether the blocks have LayerScale.
        decoder_depth (int, optional): Blocks of the decoder, if there is one.
        decoder_width (int, optional): Its width.
        target_width (int, optional): Width of what is predicted.
        classes (int, optional): Classes of a classifier.
        hidden (int, optional): Hidden width of a fine-tuned head.
    """
    kind: str
    width: int
    depth: int
    joints: int
    segments: int
    patch_len: int
    coordinates: int
    mlp_ratio: float
    layer_scale: bool
    decoder_depth: Optional[int] = None
    decoder_width: Optional[int] = None
    target_width: Optional[int] = None
    classes: Optional[int] = None
    hidden: Optional[int] = None

    @property
    def frames(self) -> int:
        """Frames of a clip, T."""
        return self.segments * self.patch_len


def encoder_prefix(weights: Mapping[str, Tensor]) -> str:
    """What stands before the names of the encoder: of a teacher if it comes
    alone."""
    student = any(name.startswith('backbone.') for name in weights)
    return 'backbone.' if student else 'target.teacher.module.'


def read_sizes(weights: Mapping[str, Tensor]) -> Sizes:
    """Read the sizes from weights under our names.

    Args:
        weights (Mapping[str, Tensor]): What :func:`convert_state_dict`
            returns.

    Raises:
        ValueError: If a weight that tells a size is missing or misshapen.
    """

    def shape(name: str, ndim: int) -> torch.Size:
        if name not in weights:
            raise ValueError(f'there is no weight for {name}: the file is '
                             'not complete')
        if weights[name].ndim != ndim or 0 in weights[name].shape:
            raise ValueError(
                f'the weight for {name} has the shape '
                f'{tuple(weights[name].shape)} and must have {ndim} axes, '
                'none of them empty: it is of another version of the code, '
                'or damaged')
        return weights[name].shape

    def depth(prefix: str) -> int:
        inside = (n[len(prefix):] for n in weights if n.startswith(prefix))
        return len({n.split('.')[0] for n in inside})

    encoder = encoder_prefix(weights)
    width = shape(f'{encoder}norm.weight', 1)[0]
    patch = shape(f'{encoder}joint_embed.proj.weight', 4)
    known: Dict[str, Any] = dict(
        kind='encoder',
        width=width,
        depth=depth(f'{encoder}blocks.'),
        joints=shape(f'{encoder}pos_embed.spatial', 4)[2],
        segments=shape(f'{encoder}pos_embed.temporal', 4)[1],
        patch_len=patch[2],
        coordinates=patch[1],
        mlp_ratio=shape(f'{encoder}blocks.0.mlp.fc1.weight', 2)[0] / width,
        layer_scale=f'{encoder}blocks.0.gamma_1' in weights)
    if any(n.startswith('neck.') for n in weights):
        known.update(
            kind='pretrain',
            decoder_depth=depth('neck.blocks.'),
            decoder_width=shape('neck.embed.weight', 2)[0],
            target_width=shape('head.fc.weight', 2)[0])
    elif 'cls_head.fc1.weight' in weights:
        known.update(
            kind='finetune',
            classes=shape('cls_head.fc2.weight', 2)[0],
            hidden=shape('cls_head.fc1.weight', 2)[0])
    elif any(n.startswith('cls_head.') for n in weights):
        known.update(kind='linear', classes=shape('cls_head.fc.weight', 2)[0])
    return Sizes(**known)


@dataclass(frozen=True)
class ConfigMatch:
    """A config, and what must be set for a model of the given sizes.

    Attributes:
        name (str): Such as ``configs/mamp_ntu60.py``.
        options (dict): Settings as for ``--cfg-options``; empty if it fits
            as it is.
        also (tuple[str]): Other configs that fit as well.
    """
    name: str
    options: Dict[str, Any]
    also: Tuple[str, ...] = ()


def match_config(sizes: Sizes, source: str) -> ConfigMatch:
    """The config whose model has these sizes, or has most nearly.

    Args:
        sizes (Sizes): The sizes.
        source (str): ``'skeleton2vec'``, ``'mamp'``, ``'mae'`` or ``'hacm'``.

    Raises:
        ValueError: If no config can be made to fit.
    """
    init_default_scope('mmaction')
    folder = config_folder()
    found: List[ConfigMatch] = []
    for name in _candidates(sizes.kind, source):
        if not (folder.parent / name).is_file():
            continue
        cfg = Config.fromfile(str(folder.parent / name))
        wanted = dict(_wanted(cfg.model, sizes))
        found.append(ConfigMatch(name, wanted))
    if not found:
        raise ValueError(f'{folder} has none of the configs of {source}')
    best = min(found, key=lambda match: len(match.options))
    also = tuple(match.name for match in found
                 if match.options == best.options and match is not best)
    return ConfigMatch(best.name, best.options, also)


def build_model(match: ConfigMatch, encoder_only: bool = False) -> BaseModule:
    """The model of a matching config, its settings changed to fit.

    Args:
        match (ConfigMatch): The config.
        encoder_only (bool): Build the backbone alone.
    """
    init_default_scope('mmaction')
    cfg = Config.fromfile(str(config_folder().parent / match.name))
    cfg.merge_from_dict(match.options)
    return MODELS.build(cfg.model.backbone if encoder_only else cfg.model)


def config_folder() -> Path:
    """The folder of the configs, in an installation or a checkout.

    Raises:
        FileNotFoundError: If the package came without it.
    """
    package = Path(skel_ssl.__file__).resolve().parent
    for folder in (package / '.mim' / 'configs', package.parent / 'configs'):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f'there are no configs in {package}: install skel_ssl from a checkout '
        'with pip install -e .')


def _candidates(kind: str, source: str) -> Iterator[str]:
    if kind == 'pretrain':
        for name in PRETRAIN_NAMES[source]:
            yield from (f'configs/{name}_{data}.py' for data in DATASETS)
        return
    protocol = 'finetune' if kind == 'finetune' else 'linear'
    name = DOWNSTREAM_NAMES[source]
    yield from (f'configs/benchmarks/{protocol}/{name}_{data}.py'
                for data in DATASETS)


def _wanted(model: Config, sizes: Sizes) -> Iterator[Tuple[str, Any]]:
    """The settings of a model that are not as the sizes say."""
    wanted: Dict[str, Dict[str, Any]] = dict(
        backbone=dict(
            in_channels=sizes.coordinates,
            num_frames=sizes.frames,
            patch_len=sizes.patch_len,
            embed_dims=sizes.width,
            depth=sizes.depth,
            mlp_ratio=sizes.mlp_ratio))
    if model.backbone.type == 'HyperbolicSkeletonTransformer':
        wanted['backbone']['layout'] = _layout_of(model.backbone, sizes.joints)
    else:
        wanted['backbone']['num_joints'] = sizes.joints
    parts = ['backbone']
    if sizes.kind == 'pretrain':
        parts.append('neck')
        wanted['neck'] = dict(
            num_segments=sizes.segments,
            num_joints=sizes.joints,
            in_dims=sizes.width,
            embed_dims=sizes.decoder_width,
            depth=sizes.decoder_depth)
        wanted['head'] = dict(
            in_dims=sizes.decoder_width, out_dims=sizes.target_width)
        if 'mask_generator' in model:
            wanted['mask_generator'] = dict(embed_dims=sizes.width)
        if model.target.type == 'TeacherTarget':
            top_k = _setting(model.target, 'top_k')
            wanted['target'] = dict(top_k=min(top_k, sizes.depth))
        else:
            wanted['target'] = dict(patch_len=sizes.patch_len)
    else:
        wanted['cls_head'] = dict(in_channels=sizes.width)
        if sizes.classes is not None:
            wanted['cls_head'].update(num_classes=sizes.classes)
        if sizes.hidden is not None:
            wanted['cls_head'].update(
                num_joints=sizes.joints, hidden_channels=sizes.hidden)
    for part in parts:
        scale = _setting(model[part], 'layer_scale')
        if (scale is not None) != sizes.layer_scale:
            wanted[part]['layer_scale'] = 1e-4 if sizes.layer_scale else None
    for part, settings in wanted.items():
        for name, value in settings.items():
            if _setting(model[part], name) != value:
                yield f'model.{part}.{name}', value


def _setting(part: dict, name: str) -> Any:
    """A setting of a part of a model, or its default."""
    if name in part:
        return part[name]
    for kind in MODELS.get(part['type']).__mro__:
        parameter = inspect.signature(kind.__init__).parameters.get(name)
        if parameter is not None:
            return parameter.default
    raise ValueError(f'{part["type"]} has no setting {name!r}')


def _layout_of(backbone: dict, joints: int) -> Any:
    """The backbone's layout, or another with that many joints outside of the
    trunk."""
    trunk = _setting(backbone, 'trunk')
    given = _setting(backbone, 'layout')
    for layout in (given, *LAYOUTS):
        body = get_layout(layout)
        if trunk in body.parts and (body.num_joints -
                                    len(set(body.parts[trunk])) == joints):
            return layout
    raise ValueError(
        f'the file has {joints} joints as tokens, and there is no layout with '
        f'as many outside of its part {trunk!r}: convert the weights with '
        'skel_ssl.apis.convert_state_dict for a layout of your own')
