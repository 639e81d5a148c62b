# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Contextualised features of a moving-average teacher as targets."""
from typing import List, NamedTuple, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.ema import EMATeacher

LAYER_NORMS = ('instance', 'layer')


def normalise_layers(layers: List[Tensor],
                     layer_norm: str = 'instance',
                     final_norm: bool = True) -> Tensor:
    """Average normalised layer outputs (data2vec, Skeleton2vec section 3.2).

    Computed in float32.

    Args:
        layers (list[Tensor]): ``(P, L, D)`` each.
        layer_norm (str): ``'instance'`` normalises each channel over the L
            tokens of a person; ``'layer'`` each token over its D channels.
        final_norm (bool): Normalise each token of the mean over its D
            channels.

    Returns:
        Tensor: ``(P, L, D)`` float32.
    """
    mean = torch.zeros((), device=layers[0].device)
    for hidden in layers:
        hidden = hidden.float()
        if layer_norm == 'instance':
            var, centre = torch.var_mean(
                hidden, dim=1, correction=0, keepdim=True)
            hidden = (hidden - centre) * (var + 1e-5).rsqrt()
        else:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        mean = mean + hidden / len(layers)
    return F.layer_norm(mean, mean.shape[-1:]) if final_norm else mean


class TeacherView(NamedTuple):
    """What a teacher sees, all float32.

    Attributes:
        target (Tensor): ``(P, L, D)``, what is to be predicted.
        raw (Tensor): ``(P, L, D)``, the mean of the same layers without any
            normalisation. Normalised targets vary whatever happens, so these
            are what shows a collapse.
        feature (Tensor): ``(P, D)``, the mean over tokens of the teacher's
            output.
    """
    target: Tensor
    raw: Tensor
    feature: Tensor


@MODELS.register_module()
class TeacherTarget(BaseModule):
    """What an EMA teacher sees on the unmasked clip (Skeleton2vec).

    The teacher is an average of the encoder only. It is moved by
    :class:`EMATeacherHook` after the optimizer step, never in the loss.

    Args:
        top_k (int): How many of the last blocks are averaged.
        layer_norm (str): ``'instance'`` or ``'layer'``, see
            :func:`normalise_layers`.
        final_norm (bool): Whether the average is layer-normed.
    """

    def __init__(self,
                 top_k: int = 8,
                 layer_norm: str = 'instance',
                 final_norm: bool = True) -> None:
        super().__init__()
        if layer_norm not in LAYER_NORMS:
            raise ValueError(f'there is no layer_norm {layer_norm!r}; choose '
                             f'one of {LAYER_NORMS}')
        self.top_k = top_k
        self.layer_norm = layer_norm
        self.final_norm = final_norm
        self.teacher: Optional[EMATeacher] = None

    def bind(self, backbone: BaseModule) -> None:
        """Make the teacher of this student; called by the algorithm."""
        if not 1 <= self.top_k <= backbone.depth:
            raise ValueError(
                f'top_k={self.top_k} of a backbone with {backbone.depth} '
                f'blocks: choose 1 to {backbone.depth}')
        self.teacher = EMATeacher(backbone)

    @torch.no_grad()
    def layers(self, persons: Tensor) -> List[Tensor]:
        """The teacher's last ``top_k`` blocks: ``(P, S * V, D)`` each."""
        assert self.teacher is not None, 'bind() comes first'
        return self.teacher.module.hidden_states(persons)[-self.top_k:]

    @torch.no_grad()
    def forward(self, persons: Tensor) -> Tensor:
        """``(P, T, V, C)`` to targets ``(P, S * V, D)``, float32."""
        return self._normalise(self.layers(persons))

    @torch.no_grad()
    def inspect(self, persons: Tensor) -> TeacherView:
        """The target and what it is made of, in one pass of the teacher.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
        """
        assert self.teacher is not None, 'bind() comes first'
        layers = self.layers(persons)
        output = self.teacher.module.norm(layers[-1])
        first, *rest = (hidden.float() for hidden in layers)
        return TeacherView(
            target=self._normalise(layers),
            raw=sum(rest, first) / len(layers),
            feature=output.float().mean(1))

    def _normalise(self, layers: List[Tensor]) -> Tensor:
        with torch.autocast(layers[0].device.type, enabled=False):
            return normalise_layers(layers, self.layer_norm, self.final_norm)
