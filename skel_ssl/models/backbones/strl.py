# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The recognizer of graph-based SkeletonMAE: pre-trained encoders in time."""
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmaction.models.utils import mstcn, unit_tcn
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.registry import MODELS

from ..ops.checkpointing import run_with_checkpoint
from ..ops.graph import norm_joints
from ..ops.person_frames import PersonFrames
from ..ops.persons import present_persons, split_scores

INTERACTIONS = (None, 'sum_other')
TEMPORAL = ('layer', 'final', 'pyramid')
# Kernel and dilation along time, as in CTR-GCN.
BRANCHES = ((5, 1), (5, 2), ('max', 3), '1x1')
PYRAMID = (1, 2, 4)


class TemporalBlock(BaseModule):
    """Several kernels along time side by side, and a residual.

    MMAction2's ``mstcn`` with the branches of CTR-GCN, added to the input,
    and a ReLU.

    Args:
        dims (int): Width.
        stride (int): Stride in time; the residual is then a convolution.
    """

    def __init__(self, dims: int, stride: int = 1) -> None:
        super().__init__()
        self.tcn = mstcn(dims, dims, ms_cfg=list(BRANCHES), stride=stride)
        self.residual = nn.Identity() if stride == 1 else unit_tcn(
            dims, dims, kernel_size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(P, T, V, D)`` to ``(P, T', V, D)``."""
        x = x.permute(0, 3, 1, 2)  # in memory: channels last
        return F.relu(self.tcn(x) + self.residual(x)).permute(0, 2, 3, 1)


class STRLBlock(BaseModule):
    """A spatial module, equations 3 and 4, and a temporal one.

    ``ReLU(BN(W (repeat(sum over joints of encoder(H)) + BN(conv(H)))))``.

    Args:
        encoders (Sequence[BaseModule]): One for all persons, or one for each
            person slot.
        in_dims (int): Width of the input.
        out_dims (int): Width of the output.
        interaction (str, optional): See :class:`STRL`.
        stride (int, optional): Stride of the temporal module; None = there is
            none.
    """

    def __init__(self,
                 encoders: Sequence[BaseModule],
                 in_dims: int,
                 out_dims: int,
                 interaction: Optional[str] = None,
                 stride: Optional[int] = 1) -> None:
        super().__init__()
        self.encoders = ModuleList(encoders)
        self.interaction = interaction
        embed_dims = encoders[0].embed_dims
        hidden_dims = encoders[0].hidden_dims
        self.adapter = nn.Identity() if in_dims == embed_dims else nn.Linear(
            in_dims, embed_dims)
        self.shortcut = nn.Linear(in_dims, hidden_dims, bias=False)
        self.shortcut_norm = nn.BatchNorm1d(hidden_dims)
        self.fc = nn.Linear(hidden_dims, out_dims, bias=False)
        self.norm = nn.BatchNorm1d(out_dims)
        self.temporal = None if stride is None else TemporalBlock(
            out_dims, stride)
        self.stride = stride or 1

    def forward(self, h: Tensor,
                frames: PersonFrames) -> Tuple[Tensor, PersonFrames]:
        """``(G, V, D)`` graphs of the frames to ``(G', V, D')``, and where
        those are."""
        pooled = self._encode(self.adapter(h), frames).sum(1)
        if self.interaction == 'sum_other':
            pooled = frames.sum_persons(pooled)
        mixed = pooled[:, None] + norm_joints(self.shortcut_norm,
                                              self.shortcut(h))
        h = F.relu(norm_joints(self.norm, self.fc(mixed)))
        if self.temporal is not None:
            grid = self.temporal(frames.place(h))
            frames = frames.strided(self.stride)
            h = frames.take(grid)
        return h, frames

    def _encode(self, h: Tensor, frames: PersonFrames) -> Tensor:
        if len(self.encoders) == 1:
            return self.encoders[0].encode_joints(h)
        order = [
            (frames.slot == i).nonzero()[:, 0]
            for i in range(len(self.encoders))
        ]
        encoded = torch.cat([
            encoder.encode_joints(h[rows])
            for encoder, rows in zip(self.encoders, order)
        ])
        return encoded[torch.cat(order).argsort()]


@MODELS.register_module()
class STRL(BaseModule):
    """Spatial-temporal representation learning over pre-trained encoders.

    The backbone that graph-based SkeletonMAE fine-tunes (ICCV 2023, arXiv
    2307.08476, section 3.2), for ``RecognizerGCN`` with ``GCNHead``. Each
    block has an encoder of its own, pooled over the joints; all start from
    the same pre-trained weights. The paper leaves the temporal module, the
    widths and the normalisation open: those here are our choice.

    Loading a ``GINEncoder``'s weights puts them into every encoder, and its
    joint embedding in front; all other weights stay as they are.

    Where a person is not seen, nothing is computed and the features are zero.
    An absent person's slot gets the mean of the persons present, so that
    ``GCNHead``'s mean over all slots is the mean over those.

    Args:
        layout (str | dict): The body, see :func:`get_layout`.
        in_channels (int): Coordinates of a joint; a further channel of the
            data is the score, which only says which joints were seen.
        num_frames (int): Frames of a clip, T. Other clips are refused.
        embed_dims (int): Width of the embedded joints.
        encoder (dict, optional): Arguments of :class:`GINEncoder` other than
            ``layout``, ``in_channels`` and ``embed_dims``, as pre-trained.
        widths (Sequence[int]): Output width of each block.
        strides (Sequence[int], optional): Stride in time of each block, 1 by
            default; for ``temporal='layer'``.
        temporal (str): ``'layer'``: a multi-branch temporal convolution in
            every block; ``'final'``: one after the last block; ``'pyramid'``:
            none, but the means of 1, 2 and 4 segments as ``7 * width``
            channels of one frame.
        interaction (str, optional): ``'sum_other'`` adds the other persons'
            pooled features of the same frame to a person's own.
        share_person_encoder (bool): One encoder a block for all persons;
            False gives every person slot a copy.
        num_persons (int): Person slots, for ``share_person_encoder=False``.
        pretrained_embed (bool): Whether the joint embedding is taken over
            from pre-trained weights, too.
        frozen_encoder (bool): Keep embedding and encoders in eval mode
            without gradients; the rest is trained.
        skip_empty_persons (bool): False computes every frame of every slot,
            as if all were seen.
        with_cp (bool): Compute each block again in the backward pass instead
            of keeping its activations: less than half the memory, a third
            more time.
        init_cfg (dict | list[dict], optional): Initialisation.

    Raises:
        ValueError: If an argument has no meaning, or an input does not have
            the configured frames, joints and channels.
    """

    def __init__(self,
                 layout: Union[str, dict, SkeletonLayout] = 'coco17',
                 in_channels: int = 2,
                 num_frames: int = 64,
                 embed_dims: int = 64,
                 encoder: Optional[dict] = None,
                 widths: Sequence[int] = (64, 64, 64),
                 strides: Optional[Sequence[int]] = None,
                 temporal: str = 'layer',
                 interaction: Optional[str] = None,
                 share_person_encoder: bool = True,
                 num_persons: int = 2,
                 pretrained_embed: bool = True,
                 frozen_encoder: bool = False,
                 skip_empty_persons: bool = True,
                 with_cp: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, value, known in (('temporal', temporal, TEMPORAL),
                                   ('interaction', interaction, INTERACTIONS)):
            if value not in known:
                raise ValueError(f'there is no {name}={value!r}; choose one '
                                 f'of {known}')
        if strides is not None and temporal != 'layer':
            raise ValueError(f'strides={strides} belong to the temporal '
                             "module of each block: temporal='layer'")
        strides = (1, ) * len(widths) if strides is None else tuple(strides)
        if not widths or len(strides) != len(widths):
            raise ValueError(f'widths={tuple(widths)} and strides={strides} '
                             'must give one number each for every block')
        self.in_channels = in_channels
        self.num_frames = num_frames
        self.temporal = temporal
        self.pretrained_embed = pretrained_embed
        self.frozen_encoder = frozen_encoder
        self.skip_empty_persons = skip_empty_persons
        self.with_cp = with_cp

        settings = dict(
            encoder or {},
            type='GINEncoder',
            layout=layout,
            in_channels=None,
            embed_dims=embed_dims,
            frozen=frozen_encoder)
        self.joint_embed = nn.Linear(in_channels, embed_dims)
        self.joint_embed.requires_grad_(not frozen_encoder)
        self.pos_embed = nn.Parameter(torch.zeros(num_frames, 1, embed_dims))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        copies = 1 if share_person_encoder else num_persons
        blocks = []
        width = embed_dims
        for out_dims, stride in zip(widths, strides):
            blocks.append(
                STRLBlock([MODELS.build(settings) for _ in range(copies)],
                          width, out_dims, interaction,
                          stride if temporal == 'layer' else None))
            width = out_dims
        self.blocks = ModuleList(blocks)
        self.final = TemporalBlock(width) if temporal == 'final' else None
        self.num_joints = self.blocks[0].encoders[0].num_joints
        self.num_input_joints = self.num_joints
        self.num_slots = None if share_person_encoder else num_persons
        self.out_dims = width * (sum(PYRAMID) if temporal == 'pyramid' else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features of clips.

        Args:
            x (Tensor): ``(N, M, T, V, C)``, with or without scores.

        Returns:
            Tensor: ``(N, M, D, T', V)``.
        """
        self._check(x)
        coordinates, seen = split_scores(x, self.in_channels)
        there = seen.any(-1) & present_persons(x)[..., None]
        if not self.skip_empty_persons:
            there = torch.ones_like(there)
        frames = PersonFrames.of(there)
        h = self.joint_embed(frames.pick(coordinates))
        h = h + frames.pick(self.pos_embed.expand(*there.shape, 1, -1))
        for block in self.blocks:
            if self.with_cp and torch.is_grad_enabled():
                h, frames = run_with_checkpoint(block, h, frames)
            else:
                h, frames = block(h, frames)
        grid = frames.place(h)
        if self.final is not None:
            grid = self.final(grid)
        if frames.frames is not None:
            grid = grid * frames.seen[..., None, None]
        if self.temporal == 'pyramid':
            grid = pyramid(grid)
        return frames.to_slots(grid).permute(0, 1, 4, 2, 3).contiguous()

    def _check(self, x: Tensor) -> None:
        if x.ndim != 5:
            raise ValueError('the input is (N, M, T, V, C), clips of persons; '
                             f'got a shape of {tuple(x.shape)}')
        if x.shape[3] != self.num_joints:
            raise ValueError(
                f'the data have {x.shape[3]} joints and the backbone is made '
                f'for {self.num_joints}: give it the layout= of the data')
        if x.shape[2] != self.num_frames:
            raise ValueError(
                f'the clips have {x.shape[2]} frames and the backbone is made '
                f'for {self.num_frames}: set num_frames={x.shape[2]}, or '
                f'sample clip_len={self.num_frames}')
        if self.num_slots is not None and x.shape[1] > self.num_slots:
            raise ValueError(
                f'the clips have {x.shape[1]} person slots and the backbone '
                f'has encoders for {self.num_slots}: set num_persons='
                f'{x.shape[1]}, or share_person_encoder=True')

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor],
                              prefix: str, *args: Any) -> None:
        if any(name.startswith(f'{prefix}layers.') for name in state_dict):
            self._spread_encoder(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _spread_encoder(self, state_dict: Dict[str, Tensor],
                        prefix: str) -> None:
        """Make the weights of a ``GINEncoder`` those of this backbone, in
        place; what has no place here stays, to be reported."""
        encoder = {
            name[len(prefix):]: state_dict.pop(name)
            for name in list(state_dict) if name.startswith(prefix)
        }
        missing = dict(encoder)
        for name, own in self.state_dict().items():
            source = self._encoder_name(name)
            if source is None:
                state_dict[prefix + name] = own
            elif source in encoder:
                state_dict[prefix + name] = encoder[source]
                missing.pop(source, None)
        for name, value in missing.items():
            if self.pretrained_embed or not name.startswith('joint_embed.'):
                state_dict[prefix + name] = value

    def _encoder_name(self, name: str) -> Optional[str]:
        """What a weight is called in a ``GINEncoder``, if it is of one."""
        if name.startswith('joint_embed.'):
            return name if self.pretrained_embed else None
        _, found, inside = name.partition('.encoders.')
        return inside.split('.', 1)[1] if found else None


def pyramid(grid: Tensor) -> Tensor:
    """Means of segments, ``(P, T, V, D)`` to ``(P, 1, V, 7 * D)``."""
    x = grid.permute(0, 3, 1, 2)
    segments = [
        F.adaptive_avg_pool2d(x, (number, x.shape[3])) for number in PYRAMID
    ]
    return torch.cat(segments, 2).flatten(1, 2)[:, None].permute(0, 1, 3, 2)
