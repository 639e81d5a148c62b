# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The weights in a checkpoint file of anybody."""
import os
from typing import Any, Dict, Mapping, Tuple, Union

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor


def read_weights(
    checkpoint: Union[str, os.PathLike]
) -> Tuple[Mapping[str, Tensor], Dict[str, Any]]:
    """Read the weights of a checkpoint and what it says about them.

    Args:
        checkpoint (str | os.PathLike): A checkpoint file, with weights as
            its ``state_dict`` or as its whole content.

    Returns:
        tuple[Mapping[str, Tensor], dict]: The weights, and the ``meta``.

    Raises:
        ValueError: If there are no weights in it; for other faults see
            :func:`skel_ssl.utils.checkpoint_loading.load_from_local`.
    """
    path = os.fspath(checkpoint)
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights, meta = loaded, None
    if isinstance(loaded, Mapping):
        weights, meta = loaded.get('state_dict', loaded), loaded.get('meta')
    if not is_weights(weights):
        raise ValueError(
            f'{path} holds no weights: neither it nor its "state_dict" is a '
            f'dict of names and tensors, but a {type(weights).__name__}')
    return weights, dict(meta) if isinstance(meta, Mapping) else {}


def is_weights(content: Any) -> bool:
    """Whether something is a dict of one or more names and tensors."""
    return isinstance(content, Mapping) and len(content) > 0 and all(
        isinstance(name, str) and torch.is_tensor(value)
        for name, value in content.items())
