# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Weights of public checkpoints under our names."""
import re
from typing import Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

Rule = Tuple[str, str]

# What a name of the public code (regular expression) is called here. The
# first rule that matches the whole name holds; '' is no name, left out.
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
    (r'decoder_feat_head\.(.*)', r'head.fc.\1'),
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
# HA-CM is a fork of MAMP. Its decoder has but one live mask token; the other
# extras take no part in anything and are dropped.
_HACM: List[Rule] = [
    (r'mask_token_t', 'neck.mask_token'),
    (r'(l[12])\.(.*)', r'mask_generator.\1.\2'),
    (r'mask_token|mask_token_s', ''),
    (r'decoder_(embed_t|embed_s|fc|fc_t|fc_s)\.(.*)', ''),
    *_MAMP,
]
RULES: Dict[str, List[Rule]] = {
    'skeleton2vec': _SKELETON2VEC,
    'mamp': _MAMP,
    'hacm': _HACM,
}

_QKV = re.compile(r'(.*\.attn\.)(queries|keys|values)\.(weight|bias)')
_STUDENT, _TEACHER = 'auto_encoder.', 'ema.model.'
_OUR_TEACHER = 'target.teacher.module.'


def _rename(name: str, rules: List[Rule]) -> Optional[str]:
    for pattern, ours in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    return None


def _fuse_qkv(weights: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Join separate queries, keys and values along the output axis."""
    fused: Dict[str, Tensor] = {}
    for name, value in weights.items():
        match = _QKV.fullmatch(name)
        if match is None:
            fused[name] = value
        elif match[2] == 'queries':
            parts = (f'{match[1]}{part}.{match[3]}'
                     for part in ('queries', 'keys', 'values'))
            fused[f'{match[1]}qkv.{match[3]}'] = torch.cat(
                [weights[part] for part in parts])
    return fused


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
            a pre-training file's ``['model']['sd']``, with the prefixes
            ``auto_encoder.`` and ``ema.model.``, or a bare auto-encoder.
            MAMP and its MAE: a file's ``['model']``, of pre-training, a
            linear probe or fine-tuning. HA-CM: the same; the decoder of a
            public file only makes sense with ``legacy_order=True``.
        source (str): ``'skeleton2vec'``, ``'mamp'`` or ``'hacm'``.

    Returns:
        dict[str, Tensor]: Weights of a :class:`MaskedSkeletonModel` or of a
        recognizer: ``backbone.*``, ``neck.*``, ``head.*``, ``cls_head.*``
        and, if the file has a teacher, ``target.teacher.module.*``. What
        nothing uses is left out: the teacher's decoder, and the public
        HA-CM's spare heads, projections and mask tokens.

    Raises:
        ValueError: If there is no such source, or a weight has no place.
    """
    if source not in RULES:
        raise ValueError(f'there is no converter for {source!r}; choose one '
                         f'of {sorted(RULES)}')
    converted: Dict[str, Tensor] = {}
    unknown = []
    for name, value in state_dict.items():
        teacher = name.startswith(_TEACHER)
        bare = name[len(_TEACHER):] if teacher else (
            name[len(_STUDENT):] if name.startswith(_STUDENT) else name)
        ours = _rename(bare, RULES[source])
        if ours is None:
            unknown.append(name)
        if not ours:
            continue
        if teacher:
            if not ours.startswith('backbone.'):
                continue
            ours = _OUR_TEACHER + ours[len('backbone.'):]
        if '.pos_embed.' in ours and source == 'skeleton2vec':
            value = value.permute(0, 2, 3, 1).contiguous()
        if ours == 'neck.pos_embed.temporal' and source == 'hacm':
            value = _in_time_order(value)
        converted[ours] = value
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state_dict)} weights are not of '
            f'{source}, such as {unknown[:3]}: is it another method or '
            'another version of the code?')
    return _fuse_qkv(converted)
