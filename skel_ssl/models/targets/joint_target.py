# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The embedded joints themselves as targets: graph-based SkeletonMAE."""
import copy
from typing import Any, List

import torch
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS

SOURCES = ('embed', 'embed_grad', 'frozen', 'coord')


@MODELS.register_module()
class JointTarget(BaseModule):
    """The unmasked joint as it is embedded, or its coordinates.

    Graph-based SkeletonMAE predicts the embedded features of hidden joints
    (arXiv 2307.08476, section 3.1.2). They come from a layer that is trained
    itself, so where the gradient goes matters.

    Args:
        source (str): ``'embed'``: the embedding as it is now, without a
            gradient. ``'embed_grad'``: with one, as the paper's formula
            reads; the embeddings of all joints then drift together.
            ``'frozen'``: the embedding as it was at the start. ``'coord'``:
            the coordinates; take a ``RegressionHead`` with them, since a
            cosine sees nothing but their direction.

    Raises:
        ValueError: If there is no such source.
    """

    def __init__(self, source: str = 'embed') -> None:
        super().__init__()
        if source not in SOURCES:
            raise ValueError(f'there is no source {source!r}; choose one of '
                             f'{SOURCES}')
        self.source = source
        self._student: List[BaseModule] = []  # unregistered, not a child

    def bind(self, backbone: BaseModule) -> None:
        """Take the encoder whose embedding is meant; called by the
        algorithm, again after the weights are initialised."""
        self._student = [backbone]
        if self.source == 'frozen':
            self.embed = copy.deepcopy(backbone.joint_embed)
            self.embed.requires_grad_(False)

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: Any) -> None:
        """A frozen embedding that a checkpoint of another source does not
        have is that of its encoder, which is loaded before."""
        begin = f'{prefix}embed.'
        if self.source == 'frozen' and not any(
                key.startswith(begin) for key in state_dict):
            embedded = self._student[0].joint_embed.state_dict()
            state_dict.update((begin + key, value.clone())
                              for key, value in embedded.items())
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, graphs: Tensor) -> Tensor:
        """``(G, V, C)`` coordinates to targets ``(G, V, D)``, float32."""
        if self.source == 'coord':
            return graphs
        # Also since torch < 2.10 would keep the weights that autocast casts
        # here, without their gradient, for the student.
        with torch.autocast(graphs.device.type, enabled=False):
            if self.source == 'frozen':
                return self.embed(graphs)
            with torch.set_grad_enabled(torch.is_grad_enabled()
                                        and self.source == 'embed_grad'):
                return self._student[0].embed(graphs)
