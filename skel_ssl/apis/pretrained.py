# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pre-trained encoders for downstream models."""
import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

from mmengine.registry import init_default_scope
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from .weights import read_weights

# Where an encoder may be in a checkpoint, best first: the EMA teacher is what
# Skeleton2vec evaluates.
PREFIXES = ('target.teacher.module.', 'backbone.', '')


class Pretrained(NamedTuple):
    """What was loaded.

    Attributes:
        prefix (str): What stood before the encoder's names in the file.
        meta (dict): ``meta`` of the checkpoint.
    """
    prefix: str
    meta: Dict[str, Any]


def _under(state_dict: Mapping[str, Tensor],
           prefix: str) -> Dict[str, Tensor]:
    return {
        k[len(prefix):]: v
        for k, v in state_dict.items() if k.startswith(prefix)
    }


def load_pretrained(backbone: nn.Module,
                    checkpoint: Union[str, os.PathLike],
                    prefix: Optional[str] = None,
                    whole: bool = False) -> Pretrained:
    """Load a pre-trained encoder into a backbone, every weight in its place.

    Args:
        backbone (nn.Module): The backbone, changed in place.
        checkpoint (str | os.PathLike): A checkpoint file.
        prefix (str, optional): What stands before the encoder's names in
            the file. By default the EMA teacher if there is one, else
            ``backbone.``, else no prefix.
        whole (bool): Whether a backbone that takes a part of its weights,
            as STRL takes an encoder, must get all of them.

    Returns:
        Pretrained: Where the weights were, and what the file says of them.

    Raises:
        ValueError: If the file holds no weights, or one is missing, left
            over or of another shape.
    """
    state_dict, meta = read_weights(checkpoint)
    if prefix is None:
        prefix = next(p for p in PREFIXES if _under(state_dict, p))
    weights = _under(state_dict, prefix)
    absent = [n for n, _ in backbone.named_parameters() if n not in weights]
    try:
        backbone.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        # The first lines name what is missing, left over or misshapen.
        lines = str(error).splitlines()[1:6]
        faults = '\n'.join(line.strip()[:300] for line in lines)
        raise ValueError(
            f'{checkpoint} (weights under {prefix!r}) is not a checkpoint of '
            f'this {type(backbone).__name__}:\n{faults}\n'
            'Use the config of the same method, data set and size, or name '
            'the right weights with --pretrained-prefix') from None
    if whole and absent:
        raise ValueError(
            f'{checkpoint} has no weights for {absent[:3]} ({len(absent)} in '
            f'all) of {type(backbone).__name__}, which would stay random: use '
            'the config of the pre-training, or a trained checkpoint of this '
            'model')
    return Pretrained(prefix, meta)


def pretrained_init_cfg(backbone: dict,
                        checkpoint: str,
                        prefix: Optional[str] = None) -> dict:
    """An ``init_cfg`` that loads a pre-trained encoder, checked beforehand.

    MMEngine's ``Pretrained`` only logs names that do not match, and a probe
    on a half-loaded encoder looks like a bad method. Here every weight must
    have its place.

    Args:
        backbone (dict): Config of the backbone to load into.
        checkpoint (str): See :func:`load_pretrained`.
        prefix (str, optional): See :func:`load_pretrained`.

    Returns:
        dict: ``dict(type='Pretrained', checkpoint=..., prefix=...)``.

    Raises:
        ValueError: See :func:`load_pretrained`.
    """
    init_default_scope('mmaction')
    model = MODELS.build({**backbone, 'init_cfg': None})
    prefix = load_pretrained(model, checkpoint, prefix).prefix
    return dict(
        type='Pretrained', checkpoint=checkpoint, prefix=prefix or None)
