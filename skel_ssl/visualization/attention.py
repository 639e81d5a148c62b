# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where tokens look: the weights of attention, and how to record them."""
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Sequence

import torch
from torch import Tensor, nn

from skel_ssl.models.ops.transformer import Attention


@torch.no_grad()
def attention_weights(attention: Attention,
                      x: Tensor,
                      queries: Optional[Sequence[int]] = None) -> Tensor:
    """The weights by which attention mixes values.

    Fused kernels do not give them, so they are computed anew.

    Args:
        attention (Attention): The layer.
        x (Tensor): ``(P, L, D)``, its input.
        queries (Sequence[int], optional): Places of Q tokens; None = all.

    Returns:
        Tensor: ``(P, heads, Q, L)`` float32, each row adds up to 1.

    Raises:
        ValueError: If there is no such token.
    """
    if queries is not None and not all(0 <= i < x.shape[1] for i in queries):
        raise ValueError(f'queries={list(queries)}: the tokens are 0 to '
                         f'{x.shape[1] - 1}')
    q, k, _ = attention.qkv(x).unflatten(
        -1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).float()
    if queries is not None:
        q = q[:, :, list(queries)]
    return (q * q.shape[-1]**-0.5 @ k.transpose(-2, -1)).softmax(-1)


@contextmanager
def record_attention(
        blocks: nn.ModuleList,
        which: Sequence[int] = (-1, ),
        queries: Optional[Sequence[int]] = None
) -> Iterator[Dict[int, Tensor]]:
    """Record where tokens look while a transformer runs.

    The model computes what it always does; the weights are computed from
    the inputs of its attention layers.

    Args:
        blocks (nn.ModuleList): The transformer's blocks.
        which (Sequence[int]): Which of them; -1 is the last one.
        queries (Sequence[int], optional): See :func:`attention_weights`.

    Yields:
        dict[int, Tensor]: For each number of ``which``, weights ``(P, heads,
        Q, L)`` on the CPU, of the last pass.

    Raises:
        ValueError: If there is no such block, or it has no attention.
    """
    for i in which:
        if not -len(blocks) <= i < len(blocks):
            raise ValueError(f'there is no block {i}: they are 0 to '
                             f'{len(blocks) - 1}, or counted from the end -1 '
                             f'to {-len(blocks)}')
        if not isinstance(getattr(blocks[i], 'attn', None), Attention):
            raise ValueError(f'block {i} is a {type(blocks[i]).__name__} '
                             'without self-attention')
    found: Dict[int, Tensor] = {}

    def hook_of(i: int) -> Callable[..., None]:

        def hook(attention: Attention, args: tuple, output: Tensor) -> None:
            found[i] = attention_weights(attention, args[0], queries).cpu()

        return hook

    handles = [
        blocks[i].get_submodule('attn').register_forward_hook(hook_of(i))
        for i in which
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def attention_rollout(maps: Sequence[Tensor]) -> Tensor:
    """Attention through all blocks (Abnar and Zuidema, ACL 2020).

    Half of each token is taken to stay where it is, the residual path.

    Args:
        maps (Sequence[Tensor]): ``(P, heads, L, L)`` of each block, the
            first block first.

    Returns:
        Tensor: ``(P, L, L)``, rows add up to 1.
    """
    eye = torch.eye(maps[0].shape[-1])
    rollout = eye.expand(len(maps[0]), -1, -1)
    for weights in maps:
        rollout = 0.5 * (weights.mean(1) + eye) @ rollout
    return rollout


def salient_tokens(motion: Tensor, groups: Sequence[Sequence[int]]
                   ) -> List[int]:
    """A token of each group of joints: the one that moves most.

    Args:
        motion (Tensor): ``(S, V)``.
        groups (Sequence[Sequence[int]]): Joints, 0 to V - 1; those without
            any are passed over.

    Returns:
        list[int]: Places in the flattened (S, V).
    """
    num_joints = motion.shape[1]
    tokens = []
    for joints in filter(len, groups):
        part = motion[:, list(joints)]
        segment, joint = divmod(int(part.argmax()), part.shape[1])
        tokens.append(segment * num_joints + list(joints)[joint])
    return tokens
