# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From tokens to one vector per clip."""
from typing import Optional

import torch
from torch import Tensor

READOUTS = ('mean', 'joint', 'joint_std', 'flat')


def pool_persons(pooled: Tensor, present: Tensor) -> Tensor:
    """Average the persons that are there.

    Args:
        pooled (Tensor): ``(N, M, D)``.
        present (Tensor): ``(N, M)`` bool.

    Returns:
        Tensor: ``(N, D)``; zeros for a clip without persons.
    """
    weight = present[..., None].to(pooled.dtype)
    return (pooled * weight).sum(1) / weight.sum(1).clamp(min=1)


def pool_tokens(feats: Tensor,
                readout: str = 'mean',
                present: Optional[Tensor] = None) -> Tensor:
    """Pool the tokens of each person, then average the persons present.

    Without ``present``, a person whose features are all exactly zero is
    absent: that is what :class:`SkeletonTransformer` returns for an empty
    slot. A backbone that encodes empty slots
    (``skip_empty_persons=False``) thus gets the plain average over all slots,
    as published protocols have it.

    Args:
        feats (Tensor): ``(N, M, D, S, V)``, a skeleton backbone's output.
        readout (str): ``'mean'`` over time and joints, D values;
            ``'joint'``, the mean over time of each joint, V * D values;
            ``'joint_std'``, mean and standard deviation over time of each
            joint, 2 * V * D values; ``'flat'``, all tokens one after the
            other, S * V * D values.
        present (Tensor, optional): ``(N, M)`` bool, the persons to average.

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
    elif readout == 'flat':
        pooled = feats.permute(0, 1, 3, 4, 2).flatten(2)
    else:
        raise ValueError(f'there is no read-out {readout!r}; choose one of '
                         f'{READOUTS}')
    if present is None:
        present = (feats != 0).flatten(2).any(2)
    return pool_persons(pooled, present)
