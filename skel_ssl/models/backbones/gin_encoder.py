# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The graph encoder that graph-based SkeletonMAE pre-trains."""
from typing import Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.datasets.layouts import SkeletonLayout, get_layout
from skel_ssl.registry import MODELS

from ..ops.graph import adjacency_matrix, make_layer
from ..ops.persons import present_persons, split_scores


@MODELS.register_module()
class GINEncoder(BaseModule):
    """Graph isomorphism network over the joints of single frames.

    The encoder of graph-based SkeletonMAE (ICCV 2023, arXiv 2307.08476),
    written from the paper, which has no public code. A learnable linear map
    embeds the joints, and each layer mixes every joint with its neighbours.
    Every frame of every person is a graph of its own: there is nothing
    temporal here; :class:`STRL` adds it for recognition.

    Args:
        layout (str | dict): The body, see :func:`get_layout`. Its ``edges``
            are the graph.
        in_channels (int, optional): Coordinates of a joint, C. A further
            channel of the data is the score, which is not a feature: it says
            which joints were seen. None: the encoder has no joint embedding
            and only serves :meth:`encode_joints`.
        embed_dims (int): Width of the embedded joints, D.
        hidden_dims (int): Width of the layers, D_h.
        depth (int): Number of layers.
        layer (str): ``'gin'``; ``'gcn'`` and ``'gat'`` are the paper's
            ablation.
        act (str): ``'prelu'`` or ``'relu'``.
        dropout (float): Dropout of each layer's input.
        layer_cfg (dict, optional): Further arguments of the layers:
            ``eps`` and ``self_loop`` of :class:`GINLayer`, ``num_heads`` of
            :class:`GATLayer`.
        frozen (bool): Keep the encoder in eval mode without gradients, for
            probes.
        init_cfg (dict | list[dict], optional): Initialisation. PyTorch's own
            by default.

    Raises:
        ValueError: If an argument has no meaning, or an input has other
            joints or channels than the layout and ``in_channels`` say.
    """

    def __init__(self,
                 layout: Union[str, dict, SkeletonLayout] = 'coco17',
                 in_channels: Optional[int] = 2,
                 embed_dims: int = 64,
                 hidden_dims: int = 64,
                 depth: int = 3,
                 layer: str = 'gin',
                 act: str = 'prelu',
                 dropout: float = 0.,
                 layer_cfg: Optional[dict] = None,
                 frozen: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if depth < 1:
            raise ValueError(f'depth={depth} must be 1 or more')
        body = get_layout(layout)
        self.in_channels = in_channels
        self.num_joints = self.num_input_joints = body.num_joints
        self.embed_dims = embed_dims
        self.hidden_dims = hidden_dims
        self.frozen = frozen
        if in_channels is not None:
            # With a bias: its direction alone then tells where a joint is.
            self.joint_embed = nn.Linear(in_channels, embed_dims)
        settings = dict(act=act, dropout=dropout, **(layer_cfg or {}))
        adjacency = adjacency_matrix(body)
        widths = [embed_dims] + [hidden_dims] * depth
        self.layers = nn.ModuleList(
            make_layer(layer, adjacency, before, after, hidden_dims,
                       **settings)
            for before, after in zip(widths, widths[1:]))
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> 'GINEncoder':
        """A frozen encoder stays in eval mode."""
        return super().train(mode and not self.frozen)

    def embed(self, coordinates: Tensor) -> Tensor:
        """``(..., V, C)`` to embedded joints ``(..., V, D)``."""
        return self.joint_embed(coordinates)

    def encode_joints(self, joints: Tensor) -> Tensor:
        """``(..., V, D)`` embedded joints to features ``(..., V, D_h)``."""
        for layer in self.layers:
            joints = layer(joints)
        return joints

    def split(self, persons: Tensor) -> Tuple[Tensor, Tensor]:
        """Coordinates and which joints are seen, see :func:`split_scores`.

        Raises:
            ValueError: If the persons do not fit the encoder.
        """
        if persons.shape[-2] != self.num_joints:
            raise ValueError(
                f'the data have {persons.shape[-2]} joints and the encoder '
                f'is made for {self.num_joints}: give it the layout= of the '
                'data')
        assert self.in_channels is not None, 'it embeds no coordinates'
        return split_scores(persons, self.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features of clips, for any MMAction2 skeleton head.

        Args:
            x (Tensor): ``(N, M, T, V, C)``, with or without scores.

        Returns:
            Tensor: ``(N, M, D_h, T, V)``; exact zeros where a person is not
            seen in a frame. Read-outs average over all frames, those zeros
            included: a mean is smaller the less of a person is seen.
        """
        if x.ndim != 5:
            raise ValueError('the input is (N, M, T, V, C), clips of persons; '
                             f'got a shape of {tuple(x.shape)}')
        with torch.set_grad_enabled(torch.is_grad_enabled()
                                    and not self.frozen):
            coordinates, seen = self.split(x)
            there = seen.any(-1) & present_persons(x)[..., None]
            frames = there.flatten().nonzero()[:, 0]
            joints = self.embed(coordinates.flatten(0, 2)[frames])
            feats = self.encode_joints(joints)
            grid = feats.new_zeros(x.shape[:3].numel(), *feats.shape[1:])
            grid = grid.index_copy(0, frames, feats)
        return grid.unflatten(0, x.shape[:3]).permute(0, 1, 4, 2,
                                                      3).contiguous()
