# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The body as a graph, and layers that pass messages along its edges.

A layer works on ``(..., V, D)``: any number of graphs of one body, with one
dense matrix of the body for all of them.
"""
from abc import ABCMeta, abstractmethod
from typing import Any, Callable, Dict, Type, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skel_ssl.datasets.layouts import SkeletonLayout, get_layout

ACTIVATIONS: Dict[str, Type[nn.Module]] = {'prelu': nn.PReLU, 'relu': nn.ReLU}


def adjacency_matrix(layout: Union[str, dict, SkeletonLayout]) -> Tensor:
    """Which joints are connected.

    Args:
        layout (str | dict | SkeletonLayout): The body.

    Returns:
        Tensor: ``(V, V)`` float32 of 0 and 1, symmetric, zero diagonal.
    """
    body = get_layout(layout)
    matrix = torch.zeros(body.num_joints, body.num_joints)
    one, other = torch.tensor(body.edges, dtype=torch.long).view(-1, 2).T
    matrix[one, other] = matrix[other, one] = 1
    return matrix


def normalised_adjacency(adjacency: Tensor) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2`` with D the row sums of ``A + I``.

    Args:
        adjacency (Tensor): ``(V, V)``.

    Returns:
        Tensor: ``(V, V)``.
    """
    loops = adjacency + torch.eye(len(adjacency))
    scale = loops.sum(1).rsqrt()
    return scale[:, None] * loops * scale


def norm_joints(norm: nn.Module, h: Tensor) -> Tensor:
    """Batch norm of ``(..., V, D)`` over all graphs and joints."""
    rows = h.flatten(0, -2)
    if not len(rows) and isinstance(norm, nn.BatchNorm1d):
        # Nobody there: no statistics, but the parameters stay in the graph.
        return h * norm.weight + norm.bias
    return norm(rows).view_as(h)


class GraphLayer(nn.Module, metaclass=ABCMeta):
    """What the layers share: dropout, messages, batch norm, activation.

    Args:
        operator (Tensor): ``(V, V)``, what messages are passed with. It
            follows from the layout, so it is not in the state dict.
        out_dims (int): Width of the output.
        act (str): ``'prelu'`` (one slope, 0.25 at the start) or ``'relu'``.
        dropout (float): Dropout of the layer's input.
        norm_act (bool): Whether batch norm and activation follow; a
            decoder's output goes without.

    Raises:
        ValueError: If there is no such activation.
    """
    operator: Tensor

    def __init__(self,
                 operator: Tensor,
                 out_dims: int,
                 act: str = 'prelu',
                 dropout: float = 0.,
                 norm_act: bool = True) -> None:
        super().__init__()
        if act not in ACTIVATIONS:
            raise ValueError(f'there is no activation {act!r}; choose one of '
                             f'{sorted(ACTIVATIONS)}')
        self.register_buffer('operator', operator, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.BatchNorm1d(out_dims) if norm_act else None
        self.act = ACTIVATIONS[act]() if norm_act else nn.Identity()

    @abstractmethod
    def message(self, h: Tensor) -> Tensor:
        """``(..., V, D)`` to ``(..., V, D')``, before norm and activation."""

    def forward(self, h: Tensor) -> Tensor:
        """``(..., V, D)`` to ``(..., V, D')``."""
        h = self.message(self.dropout(h))
        return h if self.norm is None else self.act(norm_joints(self.norm, h))


class GINLayer(GraphLayer):
    """Graph isomorphism layer (Xu et al., ICLR 2019).

    ``h_v <- phi((1 + eps) h_v + sum over neighbours h_u)`` with phi a linear
    map, batch norm, activation and a linear map.

    Args:
        adjacency (Tensor): ``(V, V)``, see :func:`adjacency_matrix`.
        in_dims (int): Width of the input.
        out_dims (int): Width of the output.
        hidden_dims (int): Width between the two linear maps.
        eps (float): Additional weight of the joint itself; not learned.
        self_loop (bool): Also count a joint among its neighbours, so that
            it has the weight ``2 + eps``, as in GraphMAE's code.
        **kwargs: See :class:`GraphLayer`.
    """

    def __init__(self,
                 adjacency: Tensor,
                 in_dims: int,
                 out_dims: int,
                 hidden_dims: int,
                 eps: float = 0.,
                 self_loop: bool = False,
                 act: str = 'prelu',
                 **kwargs: Any) -> None:
        itself = (1 + eps + self_loop) * torch.eye(len(adjacency))
        super().__init__(adjacency + itself, out_dims, act, **kwargs)
        self.fc1 = nn.Linear(in_dims, hidden_dims)
        self.norm1 = nn.BatchNorm1d(hidden_dims)
        self.act1 = ACTIVATIONS[act]()
        self.fc2 = nn.Linear(hidden_dims, out_dims)

    def message(self, h: Tensor) -> Tensor:
        h = self.fc1(self.operator @ h)
        return self.fc2(self.act1(norm_joints(self.norm1, h)))


class GCNLayer(GraphLayer):
    """Graph convolution (Kipf and Welling, ICLR 2017), for the ablation.

    ``D^-1/2 (A + I) D^-1/2 H W + b``.

    Args:
        adjacency (Tensor): ``(V, V)``, see :func:`adjacency_matrix`.
        in_dims (int): Width of the input.
        out_dims (int): Width of the output.
        **kwargs: See :class:`GraphLayer`.
    """

    def __init__(self, adjacency: Tensor, in_dims: int, out_dims: int,
                 **kwargs: Any) -> None:
        super().__init__(normalised_adjacency(adjacency), out_dims, **kwargs)
        self.fc = nn.Linear(in_dims, out_dims)

    def message(self, h: Tensor) -> Tensor:
        return self.fc(self.operator @ h)


class GATLayer(GraphLayer):
    """Graph attention (Velickovic et al., ICLR 2018), for the ablation.

    Args:
        adjacency (Tensor): ``(V, V)``, see :func:`adjacency_matrix`. A joint
            also attends to itself.
        in_dims (int): Width of the input.
        out_dims (int): Width of the output, all heads side by side.
        num_heads (int): Attention heads; divides ``out_dims``.
        **kwargs: See :class:`GraphLayer`.

    Raises:
        ValueError: If the heads do not divide the width.
    """

    def __init__(self,
                 adjacency: Tensor,
                 in_dims: int,
                 out_dims: int,
                 num_heads: int = 4,
                 **kwargs: Any) -> None:
        # Added to the scores: 0 where there is an edge, else -inf.
        loops = adjacency + torch.eye(len(adjacency))
        barred = torch.zeros_like(loops).masked_fill(loops == 0, -torch.inf)
        super().__init__(barred, out_dims, **kwargs)
        if out_dims % num_heads:
            raise ValueError(f'{out_dims} channels cannot be split into '
                             f'num_heads={num_heads}')
        head_dims = out_dims // num_heads
        self.num_heads = num_heads
        self.fc = nn.Linear(in_dims, out_dims, bias=False)
        self.receive = nn.Parameter(torch.empty(num_heads, head_dims))
        self.send = nn.Parameter(torch.empty(num_heads, head_dims))
        self.bias = nn.Parameter(torch.zeros(out_dims))
        for vector in (self.receive, self.send):
            nn.init.xavier_normal_(vector)

    def message(self, h: Tensor) -> Tensor:
        heads = self.fc(h).unflatten(-1, (self.num_heads, -1))
        receive = (heads * self.receive).sum(-1).transpose(-1, -2)  # ..., H, V
        send = (heads * self.send).sum(-1).transpose(-1, -2)
        score = F.leaky_relu(receive[..., None] + send[..., None, :], 0.2)
        weight = (score + self.operator).softmax(-1)  # ..., H, V, V
        mixed = weight @ heads.transpose(-2, -3)  # ..., H, V, D / H
        return mixed.transpose(-2, -3).flatten(-2) + self.bias


LAYERS: Dict[str, Callable[..., GraphLayer]] = {
    'gin': GINLayer,
    'gcn': GCNLayer,
    'gat': GATLayer
}


def make_layer(kind: str, adjacency: Tensor, in_dims: int, out_dims: int,
               hidden_dims: int, **kwargs: Any) -> GraphLayer:
    """Make a layer by name.

    Args:
        kind (str): ``'gin'``, ``'gcn'`` or ``'gat'``.
        adjacency (Tensor): ``(V, V)``, see :func:`adjacency_matrix`.
        in_dims (int): Width of the input.
        out_dims (int): Width of the output.
        hidden_dims (int): Width inside of a GIN layer.
        **kwargs: See the layer.

    Raises:
        ValueError: If there is no such layer.
    """
    if kind not in LAYERS:
        raise ValueError(f'there is no layer {kind!r}; choose one of '
                         f'{sorted(LAYERS)}')
    if kind == 'gin':
        kwargs['hidden_dims'] = hidden_dims
    return LAYERS[kind](adjacency, in_dims, out_dims, **kwargs)
