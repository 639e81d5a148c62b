# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pre-trained encoders for downstream models."""
from typing import Dict, Optional

from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import Tensor

from skel_ssl.registry import MODELS

# Where an encoder may be in a checkpoint, best first: the EMA teacher is what
# Skeleton2vec evaluates.
PREFIXES = ('target.teacher.module.', 'backbone.', '')


def _under(state_dict: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {
        k[len(prefix):]: v
        for k, v in state_dict.items() if k.startswith(prefix)
    }


def pretrained_init_cfg(backbone: dict,
                        checkpoint: str,
                        prefix: Optional[str] = None) -> dict:
    """An ``init_cfg`` that loads a pre-trained encoder, checked beforehand.

    MMEngine's ``Pretrained`` only logs names that do not match, and a probe
    on a half-loaded encoder looks like a bad method. Here every weight must
    have its place.

    Args:
        backbone (dict): Config of the backbone to load into.
        checkpoint (str): A checkpoint file.
        prefix (str, optional): What stands before the encoder's names in
            the file. By default the EMA teacher if there is one, else
            ``backbone.``, else no prefix.

    Returns:
        dict: ``dict(type='Pretrained', checkpoint=..., prefix=...)``.

    Raises:
        ValueError: If a weight is missing, left over or of another shape.
    """
    init_default_scope('mmaction')
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state_dict = loaded.get('state_dict', loaded)
    if prefix is None:
        prefix = next(p for p in PREFIXES if _under(state_dict, p))
    weights = _under(state_dict, prefix)
    model = MODELS.build({**backbone, 'init_cfg': None})
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        # The first lines name what is missing, left over or misshapen.
        lines = str(error).splitlines()[1:6]
        faults = '\n'.join(line.strip()[:300] for line in lines)
        raise ValueError(
            f'{checkpoint} (weights under {prefix!r}) is not a checkpoint of '
            f'this {backbone["type"]}:\n{faults}\n'
            'Use the config of the same method, data set and size, or name '
            'the right weights with --pretrained-prefix') from None
    return dict(
        type='Pretrained', checkpoint=checkpoint, prefix=prefix or None)
