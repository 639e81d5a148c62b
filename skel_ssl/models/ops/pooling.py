# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From tokens to one vector per clip."""
import torch
from torch import Tensor

READOUTS = ('mean', 'joint', 'joint_std')


def pool_tokens(feats: Tensor, readout: str = 'mean') -> Tensor:
    """Pool the tokens of each person, then average the persons present.

    A person whose features are all exactly zero is absent: that is what
    :class:`SkeletonTransformer` returns for an empty slot. A backbone that
    encodes empty slots (``skip_empty_persons=False``) thus gets the plain
    average over all slots, as published protocols have it.

    Args:
        feats (Tensor): ``(N, M, D, S, V)``, a skeleton backbone's output.
        readout (str): ``'mean'`` over time and joints, D values;
            ``'joint'``, the mean over time of each joint, V * D values;
            ``'joint_std'``, mean and standard deviation over time of each
            joint, 2 * V * D values.

    Returns:
        Tensor: ``(N, D')``.

    Raises:
        ValueError: If there is no such read-out.
    """
    if readout == 'mean':
        pooled = feats.mean(dim=(3, 4))
    elif readout == 'joint':
        pooled = feats.mean(3).transpose(2, 3).flatten(2)
    elif readout == 'joint_std':
        parts = [feats.mean(3), feats.std(3, correction=0)]
        pooled = torch.cat([p.transpose(2, 3).flatten(2) for p in parts], -1)
    else:
        raise ValueError(f'there is no read-out {readout!r}; choose one of '
                         f'{READOUTS}')
    present = (feats != 0).flatten(2).any(2)[..., None]
    count = present.sum(1).clamp(min=1)
    return (pooled * present).sum(1) / count
