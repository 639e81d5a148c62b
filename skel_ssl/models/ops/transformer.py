# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The pre-norm transformer blocks that encoders and decoders share."""
from typing import Any, Optional, Type

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

ATTENTION = ('fused', 'plain')


def check_attention(dims: int, num_heads: int, attention: str) -> None:
    """Raise a ValueError for heads that do not divide the width, or another
    kind of attention."""
    if dims % num_heads:
        raise ValueError(f'{num_heads} heads do not divide a width of {dims}')
    if attention not in ATTENTION:
        raise ValueError(f'there is no attention {attention!r}; choose one '
                         f'of {ATTENTION}')


def attend(q: Tensor, k: Tensor, v: Tensor, attention: str) -> Tensor:
    """Scaled dot-product attention, the heads joined again.

    PyTorch's fused kernel is slower in bfloat16 than in float32 on a CPU, so
    there it runs in float32.

    Args:
        q (Tensor): ``(P, heads, Q, D / heads)``.
        k (Tensor): ``(P, heads, L, D / heads)``.
        v (Tensor): Shape of ``k``.
        attention (str): ``'fused'`` for PyTorch's fused kernels;
            ``'plain'`` materialises the scores and scales them, as public
            codes do.

    Returns:
        Tensor: ``(P, Q, D)``.
    """
    if attention == 'plain':
        score = q @ k.transpose(-2, -1) * q.shape[-1]**-0.5
        out = score.softmax(-1) @ v
    elif q.device.type == 'cpu' and q.dtype == torch.bfloat16:
        with torch.autocast('cpu', enabled=False):
            out = F.scaled_dot_product_attention(q.float(), k.float(),
                                                 v.float()).to(q.dtype)
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Multi-head self-attention over all given tokens.

    Args:
        dims (int): Width D.
        num_heads (int): Heads; must divide D.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        attention (str): See :func:`attend`.
    """

    def __init__(self,
                 dims: int,
                 num_heads: int,
                 qkv_bias: bool = True,
                 attention: str = 'fused') -> None:
        super().__init__()
        check_attention(dims, num_heads, attention)
        self.num_heads = num_heads
        self.attention = attention
        self.qkv = nn.Linear(dims, 3 * dims, bias=qkv_bias)
        self.proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        """``(P, L, D)`` to ``(P, L, D)``."""
        return self.mix(self.qkv(x))

    def mix(self, qkv: Tensor) -> Tensor:
        """:meth:`forward` from the output ``(P, L, 3 * D)`` of ``qkv``."""
        qkv = qkv.unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v, self.attention))


class CrossAttention(nn.Module):
    """Multi-head attention of some tokens to others.

    Args:
        dims (int): Width D of both.
        num_heads (int): Heads; must divide D.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        attention (str): See :func:`attend`.
    """

    def __init__(self,
                 dims: int,
                 num_heads: int,
                 qkv_bias: bool = True,
                 attention: str = 'fused') -> None:
        super().__init__()
        check_attention(dims, num_heads, attention)
        self.num_heads = num_heads
        self.attention = attention
        self.q = nn.Linear(dims, dims, bias=qkv_bias)
        self.kv = nn.Linear(dims, 2 * dims, bias=qkv_bias)
        self.proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """``(P, Q, D)`` and ``(P, K, D)`` to ``(P, Q, D)``."""
        q = self.q(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        kv = self.kv(memory).unflatten(-1, (2, self.num_heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v, self.attention))


class Mlp(nn.Module):
    """Two linear maps with an exact GELU between them."""

    def __init__(self, dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dims, hidden_dims)
        self.fc2 = nn.Linear(hidden_dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """``x + gamma_1 * attn(norm1(x))``, then the same with the MLP.

    Args:
        dims (int): Width D.
        num_heads (int): Attention heads.
        mlp_ratio (float): Width of the MLP's hidden layer in units of D.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        layer_scale (float, optional): Start value of the LayerScale vectors;
            None = no LayerScale.
        drop_path (float): Probability of dropping a branch of a sample.
        norm_eps (float): Epsilon of the layer norms.
        attention (str): See :func:`attend`.
    """
    mixer: Type[Any] = Attention

    def __init__(self,
                 dims: int,
                 num_heads: int,
                 mlp_ratio: float = 4.,
                 qkv_bias: bool = True,
                 layer_scale: Optional[float] = None,
                 drop_path: float = 0.,
                 norm_eps: float = 1e-6,
                 attention: str = 'fused') -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dims, eps=norm_eps)
        self.attn = self.mixer(dims, num_heads, qkv_bias, attention)
        self.norm2 = nn.LayerNorm(dims, eps=norm_eps)
        self.mlp = Mlp(dims, int(dims * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        if layer_scale is None:
            self.gamma_1 = self.gamma_2 = None
        else:
            self.gamma_1 = nn.Parameter(torch.full((dims, ), layer_scale))
            self.gamma_2 = nn.Parameter(torch.full((dims, ), layer_scale))

    def forward(self, x: Tensor, qkv: Optional[Tensor] = None) -> Tensor:
        """Mix tokens and map each of them.

        Args:
            x (Tensor): ``(P, L, D)``.
            qkv (Tensor, optional): ``(P, L, 3 * D)``, the queries, keys and
                values of ``norm1(x)``, if they are known.

        Returns:
            Tensor: ``(P, L, D)``.
        """
        mixed = (
            self.attn(self.norm1(x)) if qkv is None else self.attn.mix(qkv))
        return self._finish(x, mixed)

    def _finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self._branch(mixed, self.gamma_1)
        return x + self._branch(self.mlp(self.norm2(x)), self.gamma_2)

    def _branch(self, out: Tensor, gamma: Optional[Tensor]) -> Tensor:
        return self.drop_path(out if gamma is None else out * gamma)


class CrossAttentionBlock(TransformerBlock):
    """A :class:`TransformerBlock` whose tokens look at others, and not at
    each other."""
    mixer = CrossAttention

    def forward(  # type: ignore[override]
            self, x: Tensor, memory: Tensor) -> Tensor:
        """``(P, Q, D)`` and ``(P, K, D)`` to ``(P, Q, D)``."""
        return self._finish(x, self.attn(self.norm1(x), memory))
