# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Weights of public checkpoints under our names."""
import re
from typing import Dict, List, Mapping, Optional, Tuple

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
    (r'decoder_feat_head\.(.*)', r'head.fc.\1'),
]
RULES: Dict[str, List[Rule]] = {'skeleton2vec': _SKELETON2VEC}

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


def convert_state_dict(state_dict: Mapping[str, Tensor],
                       source: str) -> Dict[str, Tensor]:
    """Convert a public method's weights to the names of this package.

    Args:
        state_dict (Mapping[str, Tensor]): The public weights. Skeleton2vec:
            a pre-training file's ``['model']['sd']``, with the prefixes
            ``auto_encoder.`` and ``ema.model.``, or a bare auto-encoder.
        source (str): ``'skeleton2vec'``.

    Returns:
        dict[str, Tensor]: Weights of a :class:`MaskedSkeletonModel`:
        ``backbone.*``, ``neck.*``, ``head.*`` and, if the file has a
        teacher, ``target.teacher.module.*``. The teacher's decoder, which
        nothing uses, is left out.

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
            continue
        if teacher:
            if not ours.startswith('backbone.'):
                continue
            ours = _OUR_TEACHER + ours[len('backbone.'):]
        if '.pos_embed.' in ours:
            value = value.permute(0, 2, 3, 1).contiguous()
        converted[ours] = value
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state_dict)} weights are not of '
            f'{source}, such as {unknown[:3]}: is it another method or '
            'another version of the code?')
    return _fuse_qkv(converted)
