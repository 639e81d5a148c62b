# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The one graph layer that graph-based SkeletonMAE decodes with."""
from typing import Optional, Union

from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.registry import MODELS

from ..ops.graph import adjacency_matrix, make_layer


@MODELS.register_module()
class GINDecoder(BaseModule):
    """A linear map and one graph layer, for all joints.

    Graph-based SkeletonMAE, section 3.1 (ICCV 2023, arXiv 2307.08476); the
    linear map and the bare output are GraphMAE's, its base.

    Args:
        layout (str | dict): The body, as in the encoder.
        in_dims (int): Width of the encoder's features, D_h.
        out_dims (int): Width of what is to be predicted.
        remask (bool): Set the features of hidden joints to zero before the
            graph layer, as GraphMAE does. With whole limbs hidden, a joint
            whose neighbours are all hidden then has a constant output.
        layer (str): ``'gin'``, ``'gcn'`` or ``'gat'``.
        act (str): ``'prelu'`` or ``'relu'``, inside of a GIN layer.
        layer_cfg (dict, optional): As in the encoder.
        init_cfg (dict | list[dict], optional): Initialisation.
    """

    def __init__(self,
                 layout: Union[str, dict, SkeletonLayout] = 'coco17',
                 in_dims: int = 64,
                 out_dims: int = 64,
                 remask: bool = False,
                 layer: str = 'gin',
                 act: str = 'prelu',
                 layer_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.remask = remask
        self.embed = nn.Linear(in_dims, in_dims, bias=False)
        self.layer = make_layer(
            layer,
            adjacency_matrix(layout),
            in_dims,
            out_dims,
            in_dims,
            act=act,
            norm_act=False,
            **(layer_cfg or {}))

    def forward(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Decode.

        Args:
            codes (Tensor): ``(G, V, D_h)``, the encoder's features.
            mask (Tensor): ``(G, V)`` bool, True = hidden.

        Returns:
            Tensor: ``(G, V, D)``.
        """
        codes = self.embed(codes)
        if self.remask:
            codes = codes.masked_fill(mask[..., None], 0)
        return self.layer(codes)
