# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Weights of public checkpoints under our names."""
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

Rule = Tuple[str, str]

# What a name of the public code (regular expression) is called here. The
# first rule that matches the whole name holds.
_SKELETON2VEC: List[Rule] = [
    (r'encoder_embedding\.projection\.1\.(.*)',
     r'backbone.joint_embed.proj.\1'),
    (r'encoder_embedding\.spatio_pos_emb', 'backbone.pos_embed.spatial'),
    (r'encoder_embedding\.temporal_pos_emb', 'backbone.pos_embed.temporal'),
    (r'encoder\.layers\.(.*)', r'backbone.blocks.\1'),
    (r'encoder_norm\.(.*)', r'backbone.norm.\1'),
    (r'decoder_embedding\.(.*)', r'neck.embed.\1'),
    (r'decoder_spatio_pos_emb', 'neck.pos_embed.spatial'),
    (r'decoder_temporal_pos_emb', 'neck.pos_embed.temporal'),
    (r'decoder\.layers\.(.*)', r'neck.blocks.\1'),
    (r'decoder_norm\.(.*)', r'neck.norm.\1'),
    (r'mask_token_emb', 'neck.mask_token'),
    (r'decoder_(?:feat_)?head\.(.*)', r'head.fc.\1'),
    # Downstream models: a trained probe, or the fine-tuned head.
    (r'cls_head\.2\.(running_mean|running_var|num_batches_tracked)',
     r'cls_head.norm.\1'),
    (r'cls_head\.4\.(.*)', r'cls_head.fc.\1'),
    (r'cls_head\.5\.(.*)', r'cls_head.fc1.\1'),
    (r'cls_head\.6\.(.*)', r'cls_head.norm.\1'),
    (r'cls_head\.8\.(.*)', r'cls_head.fc2.\1'),
]
# MAMP, and the MAE that its code trains as a baseline.
_MAMP: List[Rule] = [
    (r'joints_embed\.(.*)', r'backbone.joint_embed.\1'),
    (r'pos_embed', 'backbone.pos_embed.spatial'),
    (r'temp_embed', 'backbone.pos_embed.temporal'),
    (r'blocks\.(.*)', r'backbone.blocks.\1'),
    (r'norm\.(.*)', r'backbone.norm.\1'),
    (r'decoder_embed\.(.*)', r'neck.embed.\1'),
    (r'decoder_pos_embed', 'neck.pos_embed.spatial'),
    (r'decoder_temp_embed', 'neck.pos_embed.temporal'),
    (r'decoder_blocks\.(.*)', r'neck.blocks.\1'),
    (r'decoder_norm\.(.*)', r'neck.norm.\1'),
    (r'mask_token', 'neck.mask_token'),
    (r'decoder_pred\.(.*)', r'head.fc.\1'),
    # Downstream models: a trained probe, or the fine-tuned head.
    (r'head\.fc\.0\.(.*)', r'cls_head.norm.\1'),
    (r'head\.fc\.(?:1\.)?(weight|bias)', r'cls_head.fc.\1'),
    (r'head\.bn\.(.*)', r'cls_head.norm.\1'),
    (r'head\.(fc[12])\.(.*)', r'cls_head.\1.\2'),
]
# HA-CM is a fork of MAMP.
_HACM: List[Rule] = [
    (r'mask_token_t', 'neck.mask_token'),
    (r'(l[12])\.(.*)', r'mask_generator.\1.\2'),
    *_MAMP,
]
RULES: Dict[str, List[Rule]] = {
    'skeleton2vec': _SKELETON2VEC,
    'mamp': _MAMP,
    'hacm': _HACM,
}
# What is left out, and why. These rules come first.
LEFT_OUT: Dict[str, List[Rule]] = {
    'skeleton2vec': [
        (r'encoder_embedding\.mask_token_emb',
         'a mask token in the encoder, which takes part in nothing'),
    ],
    'mamp': [],
    'hacm': [
        (r'mask_token(_s)?', 'a spare mask token; mask_token_t is the one'),
        (r'decoder_(embed_t|embed_s|fc|fc_t|fc_s)\.(.*)',
         'a layer that takes part in nothing'),
    ],
}

_QKV = re.compile(r'(.*\.attn\.)(queries|keys|values)\.(weight|bias)')
_STUDENT, _TEACHER = 'auto_encoder.', 'ema.model.'
# A classifier of Skeleton2vec keeps the whole auto-encoder in here.
_INSIDE = re.compile(r'encoder\.(?=encoder|decoder|mask_token_emb)')
_OUR_TEACHER = 'target.teacher.module.'


class Place(NamedTuple):
    """Where a public weight goes.

    Attributes:
        ours (str): Its name here; queries, keys and values of a layer share
            one. Empty if it is left out.
        reason (str): Why it is left out, or empty.
    """
    ours: str
    reason: str = ''


def _match(name: str, rules: List[Rule]) -> Optional[str]:
    for pattern, text in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(text)
    return None


def place_weight(name: str, source: str) -> Optional[Place]:
    """Where a weight of a public file goes.

    Args:
        name (str): Its name in the file.
        source (str): See :func:`convert_state_dict`.

    Returns:
        Place | None: None if the method has no such weight.

    Raises:
        ValueError: If there is no such source.
    """
    if source not in RULES:
        raise ValueError(f'there is no converter for {source!r}; choose one '
                         f'of {sorted(RULES)}')
    bare, teacher, classifier = name, False, False
    if source == 'skeleton2vec':
        teacher = name.startswith(_TEACHER)
        classifier = _INSIDE.match(name) is not None
        if teacher or name.startswith(_STUDENT):
            bare = name[len(_TEACHER if teacher else _STUDENT):]
        elif classifier:
            bare = _INSIDE.sub('', name)
    reason = _match(bare, LEFT_OUT[source])
    if reason is not None:
        return Place('', reason)
    ours = _match(bare, RULES[source])
    if ours is None:
        return None
    ours = _QKV.sub(r'\1qkv.\3', ours)
    if ours.startswith('backbone.'):
        if teacher:
            ours = _OUR_TEACHER + ours[len('backbone.'):]
    elif teacher:
        return Place('', "the teacher's decoder, which nothing uses")
    elif classifier:
        return Place('', 'a decoder, which a classifier does not use')
    return Place(ours)


def _in_time_order(rows: Tensor) -> Tensor:
    """HA-CM's decoder lists all even segments first; ``(1, S, 1, D)``."""
    num_even = -(-rows.shape[1] // 2)
    ordered = torch.empty_like(rows)
    ordered[:, 0::2], ordered[:, 1::2] = rows[:, :num_even], rows[:, num_even:]
    return ordered


def convert_state_dict(state_dict: Mapping[str, Tensor],
                       source: str) -> Dict[str, Tensor]:
    """Convert a public method's weights to the names of this package.

    Args:
        state_dict (Mapping[str, Tensor]): The public weights. Skeleton2vec:
            ``['model']['sd']`` of a file of pre-training, with the prefixes
            ``auto_encoder.`` and ``ema.model.``, of a linear probe or of
            fine-tuning; or a bare auto-encoder. MAMP and its MAE: a file's
            ``['model']``, of pre-training, a linear probe or fine-tuning.
            HA-CM: the same; the decoder of a public file only makes sense
            with ``legacy_order=True``.
        source (str): ``'skeleton2vec'``, ``'mamp'`` or ``'hacm'``.

    Returns:
        dict[str, Tensor]: Weights of a :class:`MaskedSkeletonModel` or of a
        recognizer: ``backbone.*``, ``neck.*``, ``head.*``, ``cls_head.*``
        and, if the file has a teacher, ``target.teacher.module.*``. What
        nothing uses is left out, see :func:`place_weight`.

    Raises:
        ValueError: If there is no such source, a weight has no place, a
            layer lacks its queries, keys or values, or they or a position
            embedding have no proper shape.
    """
    places = {name: place_weight(name, source) for name in state_dict}
    unknown = [name for name, place in places.items() if place is None]
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state_dict)} weights are not of '
            f'{source}, such as {unknown[:3]}: is it another method or '
            'another version of the code?')
    known = {name: place for name, place in places.items() if place}
    converted: Dict[str, Tensor] = {}
    split: Dict[str, Dict[str, Tensor]] = {}
    for name, value in state_dict.items():
        ours = known[name].ours
        part = _QKV.fullmatch(name)
        if not ours:
            continue
        if part is not None:
            split.setdefault(ours, {})[part[2]] = value
            continue
        if '.pos_embed.' in ours and value.ndim != 4:
            raise ValueError(f'the weight for {ours} has the shape '
                             f'{tuple(value.shape)} and must have 4 axes: the '
                             'file is damaged')
        if '.pos_embed.' in ours and source == 'skeleton2vec':
            value = value.permute(0, 2, 3, 1).contiguous()
        if ours == 'neck.pos_embed.temporal' and source == 'hacm':
            value = _in_time_order(value)
        converted[ours] = value
    for ours, parts in split.items():
        if len(parts) < 3:
            raise ValueError(f'the file has only the {" and ".join(parts)} '
                             f'that {ours} is made of: it is not complete')
        shapes = {tuple(part.shape) for part in parts.values()}
        if len(shapes) > 1 or () in shapes:
            raise ValueError(f'the queries, keys and values of {ours} have '
                             f'the shapes {sorted(shapes)}, and must have one')
        converted[ours] = torch.cat(
            [parts[p] for p in ('queries', 'keys', 'values')])
    return converted
