# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Masks as data transforms: thin wrappers over ``models.ops.masking``."""
from abc import abstractmethod
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from skel_ssl.models.ops.masking import (
    Masking,
    count_segments,
    hidden_range,
    joint_mask,
    motion_aware_mask,
    motion_intensity,
    num_kept,
    patch_motion,
    random_joint_mask,
    random_mask,
    random_part_mask,
    tube_mask,
)
from skel_ssl.registry import TRANSFORMS

from ..layouts import LayoutLike, get_layout

Parts = Union[Sequence[Union[int, str]], str]
Count = Union[int, Tuple[int, int]]
# Takes a shape (...), makes numbers (P, ...) in [0, 1) for P persons.
Uniform = Callable[..., Tensor]


class _PoseMask(BaseTransform):
    """Base of the mask transforms.

    Required Keys:

        - keypoint, ``(num_clips, M, T, V, C)``, after ``FormatGCNInput``

    Added Keys:

        - mask, bool tensor ``(num_clips, M, S, V)``, True = hidden;
          ``(num_clips, M, K, S, V)`` with K > 1 masks of each person

    Put ``'mask'`` into the ``algorithm_keys`` of ``PackActionInputs``. Random
    numbers come from NumPy's global generator, as in MMAction2's transforms.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        num_masks (int): How many masks to draw for each person, K. They
            share what does not depend on the mask, such as the teacher's
            pass.

    Raises:
        ValueError: If ``patch_len`` or ``num_masks`` is less than 1.
    """

    batch_form = 'mask'  # see PoseTransform

    def __init__(self, patch_len: int, num_masks: int = 1) -> None:
        if num_masks < 1 or patch_len < 1:
            raise ValueError(f'num_masks={num_masks} and patch_len='
                             f'{patch_len} must be 1 or more')
        self.patch_len = patch_len
        self.num_masks = num_masks

    @abstractmethod
    def make(self, persons: Tensor, uniform: Uniform) -> Dict[str, Tensor]:
        """Make the masks of persons, on their device.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
            uniform (Callable): Takes a shape, and makes random numbers of
                that shape for each person, in [0, 1). Called once or never.

        Returns:
            dict[str, Tensor]: What to add, ``(P, S, V)`` each.
        """

    def draw(self, persons: Tensor, uniform: Uniform) -> Dict[str, Tensor]:
        """:meth:`make` for ``num_masks`` masks of each person.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
            uniform (Callable): See :meth:`make`.

        Returns:
            dict[str, Tensor]: ``(P * K, S, V)`` each, the masks of a person
            one after the other.
        """
        if self.num_masks == 1:
            return self.make(persons, uniform)
        return self.make(
            persons.repeat_interleave(self.num_masks, 0),
            lambda *shape: uniform(self.num_masks, *shape).flatten(0, 1))

    @abstractmethod
    def num_hidden(self, num_segments: int, num_joints: int) -> Optional[int]:
        """How many of a person's ``S * V`` tokens are hidden; None if that
        differs from person to person."""

    def check_batch_form(self) -> None:
        """Every mask can be made for a batch of persons."""

    def transform(self, results: Dict) -> Dict:
        """Add the mask of each person slot."""
        keypoint = np.asarray(results['keypoint'])
        if keypoint.ndim != 5 or not keypoint.size:
            raise ValueError(
                f'{type(self).__name__} masks (num_clips, M, T, V, C), so put '
                f'it after FormatGCNInput; got a shape of {keypoint.shape}')
        if keypoint.dtype not in (np.float32, np.float64):
            # whole numbers have no mean, and halves are soon infinite
            keypoint = keypoint.astype(np.float32)
        persons = torch.as_tensor(keypoint).flatten(0, 1)
        rows = keypoint.shape[:2]
        if self.num_masks > 1:
            rows = (*rows, self.num_masks)
        uniform = partial(self.uniform, len(persons))
        for key, made in self.draw(persons, uniform).items():
            results[key] = made.unflatten(0, rows)
        return results

    @staticmethod
    def uniform(*shape: int) -> Tensor:
        """Uniform float32 numbers in [0, 1)."""
        # A float64 just below 1 would round up to 1.
        return torch.from_numpy(
            np.random.randint(0, 1 << 24, shape).astype(np.float32) /
            (1 << 24))

    def __repr__(self) -> str:
        args = ', '.join(f'{k}={v!r}' for k, v in vars(self).items()
                         if not k.startswith('_'))
        return f'{type(self).__name__}({args})'


class _RankedMask(_PoseMask):
    """Base of the masks that hide a share of the tokens, by a ranking.

    Keys as :class:`_PoseMask`, and one more to add:

        - mask_rank (if ``return_rank``), int64, same shape

    Put ``'mask_rank'`` into the ``algorithm_keys``, too.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share to hide; rounded as
            :func:`~skel_ssl.models.ops.masking.num_kept` says.
        return_rank (bool): Also give the ranking that made the mask.
        num_masks (int): See :class:`_PoseMask`.
    """

    def __init__(self,
                 patch_len: int = 3,
                 mask_ratio: float = 0.9,
                 return_rank: bool = False,
                 num_masks: int = 1) -> None:
        super().__init__(patch_len, num_masks)
        if not 0 < mask_ratio < 1:
            raise ValueError(f'mask_ratio={mask_ratio} must be between 0 and '
                             '1, and neither of them')
        self.mask_ratio = mask_ratio
        self.return_rank = return_rank

    @abstractmethod
    def rank(self, persons: Tensor, uniform: Uniform) -> Masking:
        """Rank and mask persons ``(P, T, V, C)``, see :meth:`make`."""

    def make(self, persons: Tensor, uniform: Uniform) -> Dict[str, Tensor]:
        mask, rank = self.rank(persons, uniform)
        if not self.return_rank or rank is None:
            return dict(mask=mask)
        return dict(mask=mask, mask_rank=rank)

    def num_hidden(self, num_segments: int, num_joints: int) -> Optional[int]:
        total = num_segments * num_joints
        return total - num_kept(total, self.mask_ratio)


@TRANSFORMS.register_module()
class MotionAwareTubeMask(_RankedMask):
    """Hide the joints that move, in tubes (Skeleton2vec, section 3.3).

    Keys as :class:`_RankedMask`.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share of the joints to hide in every tube. 0.9
            hides 23 of 25 joints (92 %).
        tube_len (int): Tokens of a tube along time, the paper's alpha.
        beta (float): Weight of the motion prior, the paper's beta; 0 =
            tubes of uniformly chosen joints.
        return_rank (bool): Also give ``mask_rank``.
        num_masks (int): How many masks to draw for each person.
    """

    def __init__(self,
                 patch_len: int = 3,
                 mask_ratio: float = 0.9,
                 tube_len: int = 5,
                 beta: float = 0.1,
                 return_rank: bool = False,
                 num_masks: int = 1) -> None:
        super().__init__(patch_len, mask_ratio, return_rank, num_masks)
        if tube_len < 1:
            raise ValueError(f'tube_len={tube_len} must be 1 or more')
        self.tube_len = tube_len
        self.beta = beta

    def rank(self, persons: Tensor, uniform: Uniform) -> Masking:
        intensity = motion_intensity(persons, self.patch_len)
        _, num_segments, num_joints = intensity.shape
        numbers = uniform(num_segments // self.tube_len, num_joints)
        return tube_mask(intensity, self.mask_ratio, self.tube_len, self.beta,
                         numbers)

    def num_hidden(self, num_segments: int, num_joints: int) -> Optional[int]:
        kept = num_kept(num_joints, self.mask_ratio)
        return num_segments * (num_joints - kept)


@TRANSFORMS.register_module()
class MotionAwareMask(_RankedMask):
    """Hide tokens that move, each on its own (MAMP, section 3.3).

    Keys as :class:`_RankedMask`.

    Args:
        patch_len (int): Frames of a token, as in the backbone.
        mask_ratio (float): Share of all tokens of a person to hide.
        tau (float): Temperature of the motion prior; the lower, the more
            motion decides. 0 or less = uniform.
        return_rank (bool): Also give ``mask_rank``.
        num_masks (int): How many masks to draw for each person.
    """

    def __init__(self,
                 patch_len: int = 4,
                 mask_ratio: float = 0.9,
                 tau: float = 0.8,
                 return_rank: bool = False,
                 num_masks: int = 1) -> None:
        super().__init__(patch_len, mask_ratio, return_rank, num_masks)
        self.tau = tau

    def rank(self, persons: Tensor, uniform: Uniform) -> Masking:
        intensity = patch_motion(persons, self.patch_len)
        numbers = uniform(intensity[0].numel())
        return motion_aware_mask(intensity, self.mask_ratio, self.tau, numbers,
                                 self.return_rank)


@TRANSFORMS.register_module()
class RandomMask(_RankedMask):
    """Hide tokens uniformly at random (MAE).

    Keys and arguments as :class:`_RankedMask`; ``mask_ratio`` is the share of
    all tokens of a person.
    """

    def rank(self, persons: Tensor, uniform: Uniform) -> Masking:
        num_persons, num_frames, num_joints, _ = persons.shape
        num_segments = count_segments(num_frames, self.patch_len)
        numbers = uniform(num_segments * num_joints)
        return random_mask(num_persons, num_segments, num_joints,
                           self.mask_ratio, numbers, self.return_rank)


@TRANSFORMS.register_module()
class BodyPartMask(_PoseMask):
    """Hide whole parts of the body (SkeletonMAE, section 3.1.2).

    Keys as :class:`_PoseMask`.

    - ``mask_parts=(3, 5)``: these parts, of everyone, all the time. The
      default, with which the published figures were made.
    - ``mask_parts='random', num_mask_parts=2`` (or ``(1, 3)``): parts chosen
      at random for each person, as the paper's text says. They have
      different numbers of joints, so the model must not need the same number
      of hidden tokens in every row.
    - ``mask_mode='joint', num_mask_joints=4``: joints chosen at random, the
      paper's baseline.

    An argument that has no meaning for the chosen kind is an error.

    Args:
        layout (str | dict): The body, see :func:`get_layout`; its parts are
            counted in their order.
        mask_parts (Sequence[int | str] | str, optional): Indices or names of
            the parts to hide, or ``'random'``. None: (3, 5), which is the
            right arm and the right leg in the presets; with ``mask_mode=
            'joint'`` it must be None.
        num_mask_parts (int | tuple[int, int], optional): How many parts to
            hide, or the lowest and the highest number; only, and always,
            with ``'random'``.
        mask_scope (str): With random parts or joints: ``'clip'``, the same
            in all frames (a tube), or ``'frame'``, anew for each token along
            time.
        mask_mode (str): ``'part'`` or ``'joint'``.
        num_mask_joints (int | tuple[int, int], optional): How many joints to
            hide; only, and always, with ``mask_mode='joint'``.
        patch_len (int): Frames of a token, as in the backbone.
        num_masks (int): How many masks to draw for each person; a graph
            model takes one.

    Raises:
        ValueError: If nothing or everything would be hidden, a part does not
            exist, or the arguments do not go together.
    """

    def __init__(self,
                 layout: LayoutLike = 'coco17',
                 mask_parts: Optional[Parts] = None,
                 num_mask_parts: Optional[Count] = None,
                 mask_scope: str = 'clip',
                 mask_mode: str = 'part',
                 num_mask_joints: Optional[Count] = None,
                 patch_len: int = 1,
                 num_masks: int = 1) -> None:
        super().__init__(patch_len, num_masks)
        if mask_mode not in ('part', 'joint'):
            raise ValueError(
                f"mask_mode must be 'part' or 'joint', not {mask_mode!r}")
        if mask_scope not in ('clip', 'frame'):
            raise ValueError(
                f"mask_scope must be 'clip' or 'frame', not {mask_scope!r}")
        if mask_parts is None and mask_mode == 'part':
            mask_parts = (3, 5)
        self.layout = layout
        self.mask_parts = mask_parts
        self.num_mask_parts: Any = num_mask_parts
        self.mask_scope = mask_scope
        self.mask_mode = mask_mode
        self.num_mask_joints: Any = num_mask_joints
        self._body = get_layout(layout)
        self._parts = tuple(self._body.parts.values())
        if mask_mode == 'joint':
            self._check_used("mask_mode='joint'", 'num_mask_joints',
                             'mask_scope')
            hidden_range(num_mask_joints or 0, self._body.num_joints, 'joints')
        elif mask_parts == 'random':
            self._check_used("mask_parts='random'", 'mask_parts',
                             'num_mask_parts', 'mask_scope')
            hidden_range(num_mask_parts or 0, len(self._parts), 'parts')
        else:
            self._check_used(f'mask_parts={mask_parts!r}', 'mask_parts')
            assert mask_parts is not None
            self._fixed = self._joints_of(mask_parts)

    def _check_used(self, kind: str, *used: str) -> None:
        """Raise if an argument is missing, or would have no effect."""
        unset = dict(
            mask_parts=None,
            num_mask_parts=None,
            num_mask_joints=None,
            mask_scope='clip')
        for name, default in unset.items():
            value = getattr(self, name)
            if name in used and value is None:
                raise ValueError(f'{kind} needs {name}')
            if name not in used and value != default:
                raise ValueError(f'{name}={value!r} would have no effect with '
                                 f'{kind}; leave it out')

    def _joints_of(self, mask_parts: Parts) -> List[int]:
        """The joints of parts that are given by index or name."""
        names = list(self._body.parts)
        if isinstance(mask_parts, (str, int)):
            raise ValueError(
                f"mask_parts={mask_parts!r} must be a list of parts or "
                f"'random'; the parts of layout {self._body.name!r} are "
                f'{names}')
        places: List[Any] = [
            names.index(part) if part in names else part
            for part in mask_parts
        ]
        wrong = [part for part in places
                 if not isinstance(part, int) or not 0 <= part < len(names)]
        if wrong or len(set(places)) < len(places):
            fault = f'there is no part {wrong[0]!r}' if wrong else (
                'a part is named twice')
            raise ValueError(
                f'mask_parts={mask_parts!r}: {fault}; the parts of layout '
                f'{self._body.name!r} are {names}, or 0 to {len(names) - 1}')
        joints = [joint for place in places for joint in self._parts[place]]
        joint_mask(1, 1, self._body.num_joints, joints)  # some, and not all
        return joints

    def num_hidden(self, num_segments: int, num_joints: int) -> Optional[int]:
        if self.mask_mode == 'part' and self.mask_parts != 'random':
            return num_segments * len(set(self._fixed))
        return None

    def make(self, persons: Tensor, uniform: Uniform) -> Dict[str, Tensor]:
        num_persons, num_frames, num_joints, _ = persons.shape
        if num_joints != self._body.num_joints:
            raise ValueError(
                f'{type(self).__name__}: the clip has {num_joints} joints, '
                f'layout {self._body.name!r} has {self._body.num_joints}; '
                'give the transform the layout= of the data')
        num_segments = count_segments(num_frames, self.patch_len)
        size = (num_persons, num_segments, num_joints)
        if self.mask_mode == 'part' and self.mask_parts != 'random':
            mask = joint_mask(*size, self._fixed).to(persons.device)
            return dict(mask=mask)
        choices = 1 if self.mask_scope == 'clip' else num_segments
        if self.mask_mode == 'joint':
            mask = random_joint_mask(*size, self.num_mask_joints,
                                     self.mask_scope,
                                     uniform(choices, num_joints + 1))
        else:
            mask = random_part_mask(*size, self._parts, self.num_mask_parts,
                                    self.mask_scope,
                                    uniform(choices, len(self._parts) + 1))
        return dict(mask=mask)
