# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""HA-CM's encoder: tokens of the limbs, in the Poincare ball."""
from typing import Any, List, Optional, Union

import torch
from torch import Tensor

from skel_ssl.datasets.layouts import SkeletonLayout, get_layout
from skel_ssl.registry import MODELS

from ..ops.hyperbolic import ball_map
from .skeleton_transformer import InitCfg, SkeletonTransformer

INIT_CFG: List[dict] = [
    dict(type='Xavier', layer='Linear', distribution='uniform'),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
]


@MODELS.register_module()
class HyperbolicSkeletonTransformer(SkeletonTransformer):
    """A skeleton transformer over limb tokens mapped into the ball.

    HA-CM (arXiv 2409.17951). Clips have all joints of the layout; the joints
    of the trunk are no tokens, they only make the NULL point of the
    hierarchy, so ``num_joints`` is the number of the other joints. The
    embedded tokens are mapped into the Poincare ball
    (:func:`~skel_ssl.models.ops.hyperbolic.ball_map`), and the blocks work on
    these coordinates as they are. The defaults are the public code's encoder
    for NTU RGB+D: 72 frames in 24 segments, 18 of 25 joints.

    Args:
        layout (str | dict | SkeletonLayout): Joints of the data.
        trunk (str): The part of the layout that is the trunk.
        num_frames (int): Frames of a clip, T.
        patch_len (int): Frames of a token.
        layer_scale (float, optional): Start value of LayerScale.
        norm_eps (float): Epsilon of the layer norms.
        init_cfg (dict | list[dict], optional): Initialisation. Defaults to
            Xavier uniform, and PyTorch's own for the patch projection.
        **kwargs: Arguments of :class:`SkeletonTransformer` other than
            ``num_joints``.

    Raises:
        ValueError: If the layout has no such part, or no other joints.
    """

    def __init__(self,
                 layout: Union[str, dict, SkeletonLayout] = 'ntu25',
                 trunk: str = 'torso',
                 num_frames: int = 72,
                 patch_len: int = 3,
                 layer_scale: Optional[float] = None,
                 norm_eps: float = 1e-5,
                 init_cfg: InitCfg = None,
                 **kwargs: Any) -> None:
        layout = get_layout(layout)
        if trunk not in layout.parts:
            raise ValueError(
                f'layout {layout.name!r} has no part {trunk!r} to be the '
                f'trunk; its parts are {sorted(layout.parts)}')
        trunk_joints = sorted(layout.parts[trunk])
        token_joints = sorted(set(range(layout.num_joints)) -
                              set(trunk_joints))
        if not token_joints or not trunk_joints:
            raise ValueError(
                f'the part {trunk!r} holds {len(trunk_joints)} of the '
                f'{layout.num_joints} joints of layout {layout.name!r}: the '
                'trunk and the rest must both have joints')
        super().__init__(
            num_joints=len(token_joints),
            num_frames=num_frames,
            patch_len=patch_len,
            layer_scale=layer_scale,
            norm_eps=norm_eps,
            init_cfg=init_cfg or INIT_CFG,
            **kwargs)
        self.layout = layout
        self.num_input_joints = layout.num_joints
        joints = dict(token_joints=token_joints, trunk_joints=trunk_joints)
        for name, indices in joints.items():
            self.register_buffer(
                name, torch.tensor(indices), persistent=False)

    def flat_tokens(self,
                    persons: Tensor,
                    kept: Optional[Tensor] = None) -> Tensor:
        """Tokens before the map into the ball, see :meth:`embed`."""
        self._check(persons)
        limbs = persons.index_select(2, self.token_joints)
        return super().embed(limbs, kept)

    def embed(self, persons: Tensor, kept: Optional[Tensor] = None) -> Tensor:
        """Tokens in the ball, float32.

        Args:
            persons (Tensor): ``(P, T, V', C)`` with all V' joints of the
                layout.
            kept (Tensor, optional): ``(P, K)`` positions of the visible
                tokens; None = all tokens.

        Returns:
            Tensor: ``(P, K, D)``.
        """
        return ball_map(self.flat_tokens(persons, kept))

    def null_points(self, persons: Tensor) -> Tensor:
        """The root of the hierarchy: the trunk in the ball, without places.

        Args:
            persons (Tensor): ``(P, T, V', C)``.

        Returns:
            Tensor: ``(P, S, D)`` float32, mean over the trunk joints.
        """
        trunk = persons.index_select(2, self.trunk_joints)
        points = ball_map(self.joint_embed(trunk))
        return points.unflatten(1, (-1, len(self.trunk_joints))).mean(2)

    def _check(self, persons: Tensor) -> None:
        if persons.ndim == 4 and persons.shape[2] != self.num_input_joints:
            raise ValueError(
                f'the data have {persons.shape[2]} joints and layout '
                f'{self.layout.name!r} has {self.num_input_joints}: give the '
                'backbone the layout of the data')
        super()._check(persons)
