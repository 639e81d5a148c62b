# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From values of tokens to values of joints in frames."""
from typing import Any, Optional, Sequence

import numpy as np


def spread_tokens(values: np.ndarray,
                  num_frames: int,
                  num_joints: int,
                  token_joints: Optional[Sequence[int]] = None,
                  rest: Any = np.nan) -> np.ndarray:
    """Give every joint in every frame the value of its token.

    Args:
        values (np.ndarray): ``(M, S, V')``.
        num_frames (int): T, a multiple of S.
        num_joints (int): V.
        token_joints (Sequence[int], optional): The V' joints that are
            tokens, as in HA-CM; None: all of them, V' = V.
        rest (Any): Value of the other joints.

    Returns:
        np.ndarray: ``(M, T, V)``.

    Raises:
        ValueError: If the tokens do not fit frames or joints.
    """
    persons, segments, tokens = values.shape
    joints = list(range(num_joints) if token_joints is None else token_joints)
    if tokens != len(joints) or max(joints) >= num_joints:
        raise ValueError(
            f'values of {tokens} joints cannot be put on {len(joints)} of '
            f'{num_joints} joints: give token_joints, the joints that are '
            "tokens (the backbone's token_joints)")
    if num_frames % segments:
        raise ValueError(f'{num_frames} frames are not a multiple of '
                         f'{segments} segments: the values are of another '
                         'clip')
    out = np.full((persons, num_frames, num_joints), rest)
    out[..., joints] = values.repeat(num_frames // segments, 1)
    return out
