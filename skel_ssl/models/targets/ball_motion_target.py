# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Motion in the Poincare ball as target: HA-CM."""
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor

from skel_ssl.registry import MODELS

from ..ops.hyperbolic import ball_map
from .patch_targets import MotionTarget

TARGET_MAPS = ('ball', 'none')


@MODELS.register_module()
class BallMotionTarget(MotionTarget):
    """The motion of the hidden tokens, mapped into the ball (HA-CM).

    Of the joints that are tokens of the backbone; the map is applied to the
    motion of each joint in each frame.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        stride (int): Frames between the two that are compared.
        target_map (str): ``'ball'`` as in the public code, ``'none'`` as in
            the paper's figure. For motion of less than 0.1 m between frames
            they differ by less than 0.4 %.
        normalise (str, optional): See :class:`PatchTarget`.

    Raises:
        ValueError: If there is no such map.
    """

    def __init__(self,
                 patch_len: int = 3,
                 stride: int = 1,
                 target_map: str = 'ball',
                 normalise: Optional[str] = 'patch') -> None:
        super().__init__(patch_len, stride, normalise)
        if target_map not in TARGET_MAPS:
            raise ValueError(f'there is no target_map {target_map!r}; choose '
                             f'one of {TARGET_MAPS}')
        self.target_map = target_map
        self.register_buffer('joints', None, persistent=False)

    def bind(self, backbone: BaseModule) -> None:
        """Learn which joints are tokens; called by the algorithm."""
        self.joints = torch.clone(backbone.token_joints)

    def frames(self, persons: Tensor) -> Tensor:
        """``(P, T, V, C)`` of the token joints."""
        motion = super().frames(persons.index_select(2, self.joints))
        return ball_map(motion) if self.target_map == 'ball' else motion
