# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The joint-token transformer that masked methods pre-train."""
from typing import List, Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from skel_ssl.registry import MODELS

from ..ops.persons import present_persons
from ..ops.token_embed import JointEmbedding, PositionEmbedding
from ..ops.transformer import TransformerBlock

InitCfg = Optional[Union[dict, List[dict]]]
INIT_CFG: List[dict] = [
    dict(type='TruncNormal', layer=['Linear', 'Conv2d'], std=0.02, bias=0.),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
]


@MODELS.register_module()
class SkeletonTransformer(BaseModule):
    """Transformer over the joint tokens of one person.

    A token is one joint in ``patch_len`` frames; attention is joint
    spatio-temporal over all tokens of a person, and persons never mix. The
    defaults are Skeleton2vec's encoder for NTU RGB+D (arXiv 2401.00921): 90
    frames in 30 segments, 25 joints, 8 blocks of width 256, 6.3 M
    parameters.

    The same class serves pre-training (:meth:`encode` on visible tokens) and
    downstream tasks (:meth:`forward`, whose output is what
    ``RecognizerGCN`` and ``GCNHead`` expect).

    Args:
        in_channels (int): Coordinates of a joint, C.
        num_joints (int): Joints of the layout, V.
        num_frames (int): Frames of a clip, T. Other clips are refused; a
            checkpoint made for another T is resized when it is loaded.
        patch_len (int): Frames of a token; divides ``num_frames``.
        embed_dims (int): Width, D.
        depth (int): Number of blocks.
        num_heads (int): Attention heads.
        mlp_ratio (float): Hidden width of the MLPs in units of D.
        qkv_bias (bool): Whether queries, keys and values have a bias.
        layer_scale (float, optional): Start value of LayerScale; None = no
            LayerScale.
        drop_path_rate (float): Drop path of the last block; rises linearly
            from 0 in the first.
        token_drop_rate (float): In :meth:`forward`, in training, the share
            of each joint's segments that is left out, drawn anew for each
            person and joint (PatchDropout, arXiv 2208.07220): fewer tokens
            to compute, and less to learn by heart. S shrinks.
        norm_eps (float): Epsilon of the layer norms.
        zero_temporal_init (bool): Start the temporal position embedding at
            exactly 0, as the public Skeleton2vec code does by a slip.
        skip_empty_persons (bool): In :meth:`forward`, do not compute empty
            person slots and return exact zeros for them. False encodes them
            like any other, as published protocols do.
        frozen (bool): Keep the backbone in eval mode without gradients, for
            probes.
        attention (str): ``'fused'`` or ``'plain'``.
        init_cfg (dict | list[dict], optional): Initialisation. Defaults to
            truncated normal 0.02.

    Raises:
        ValueError: If T is not a multiple of the patch, ``token_drop_rate``
            is out of [0, 1), or an input does not have the configured
            frames, joints and channels.
    """

    def __init__(self,
                 in_channels: int = 3,
                 num_joints: int = 25,
                 num_frames: int = 90,
                 patch_len: int = 3,
                 embed_dims: int = 256,
                 depth: int = 8,
                 num_heads: int = 8,
                 mlp_ratio: float = 4.,
                 qkv_bias: bool = True,
                 layer_scale: Optional[float] = 1e-4,
                 drop_path_rate: float = 0.,
                 token_drop_rate: float = 0.,
                 norm_eps: float = 1e-6,
                 zero_temporal_init: bool = False,
                 skip_empty_persons: bool = True,
                 frozen: bool = False,
                 attention: str = 'fused',
                 init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg=init_cfg or INIT_CFG)
        if num_frames % patch_len:
            raise ValueError(
                f'num_frames={num_frames} is not a multiple of '
                f'patch_len={patch_len}; try num_frames='
                f'{max(num_frames // patch_len, 1) * patch_len} (and the same '
                'clip_len in the pipeline) or another patch_len')
        if not 0 <= token_drop_rate < 1:
            raise ValueError(f'token_drop_rate={token_drop_rate} must be 0 or '
                             'more, and below 1')
        self.in_channels = in_channels
        self.num_joints = num_joints
        self.num_input_joints = num_joints
        self.num_frames = num_frames
        self.patch_len = patch_len
        self.embed_dims = embed_dims
        self.depth = depth
        self.token_drop_rate = token_drop_rate
        self.skip_empty_persons = skip_empty_persons
        self.frozen = frozen

        self.joint_embed = JointEmbedding(in_channels, patch_len, embed_dims)
        self.pos_embed = PositionEmbedding(
            self.num_segments,
            num_joints,
            embed_dims,
            temporal_std=0. if zero_temporal_init else 0.02)
        drop_path = torch.linspace(0, drop_path_rate, depth).tolist()
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_dims, num_heads, mlp_ratio, qkv_bias,
                             layer_scale, rate, norm_eps, attention)
            for rate in drop_path)
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        if frozen:
            self.requires_grad_(False)
            self.eval()

    @property
    def num_segments(self) -> int:
        """S, the number of segments of a clip."""
        return self.num_frames // self.patch_len

    def train(self, mode: bool = True) -> 'SkeletonTransformer':
        """A frozen backbone stays in eval mode."""
        return super().train(mode and not self.frozen)

    def embed(self, persons: Tensor, kept: Optional[Tensor] = None) -> Tensor:
        """Make the tokens that the blocks see.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
            kept (Tensor, optional): ``(P, K)`` positions of the visible
                tokens; None = all tokens.

        Returns:
            Tensor: ``(P, K, D)``; K = S * V if all tokens are visible.
        """
        return self.joint_embed(persons, kept) + self.pos_embed(kept)

    def hidden_states(self,
                      persons: Tensor,
                      kept: Optional[Tensor] = None) -> List[Tensor]:
        """Output of every block, without the final norm.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
            kept (Tensor, optional): ``(P, K)`` positions of the visible
                tokens; None = all tokens.

        Returns:
            list[Tensor]: ``depth`` tensors ``(P, K, D)``; K = S * V if all
            tokens are visible.
        """
        self._check(persons)
        x = self.embed(persons, kept)
        outs = []
        for block in self.blocks:
            x = block(x)
            outs.append(x)
        return outs

    def encode(self, persons: Tensor, kept: Optional[Tensor] = None) -> Tensor:
        """Encode the visible tokens of persons.

        Args:
            persons (Tensor): ``(P, T, V, C)``.
            kept (Tensor, optional): ``(P, K)`` positions of the visible
                tokens, see :func:`mask_to_indices`; None = all tokens.

        Returns:
            Tensor: ``(P, K, D)``, after the final norm.
        """
        return self.norm(self.hidden_states(persons, kept)[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Features of clips, for any MMAction2 skeleton head.

        Args:
            x (Tensor): ``(N, M, T, V, C)``.

        Returns:
            Tensor: ``(N, M, D, S, V)``, with fewer segments in training if
            ``token_drop_rate`` is not 0; exact zeros for an empty person
            slot if ``skip_empty_persons``.
        """
        if x.ndim != 5:
            raise ValueError('the input is (N, M, T, V, C), clips of persons; '
                             f'got a shape of {tuple(x.shape)}')
        with torch.set_grad_enabled(torch.is_grad_enabled()
                                    and not self.frozen):
            persons = x.flatten(0, 1)
            if self.skip_empty_persons:
                slots = present_persons(x).flatten().nonzero()[:, 0]
                tokens = self.encode(persons[slots], self._drawn(len(slots)))
                shape = (len(persons), *tokens.shape[1:])
                tokens = tokens.new_zeros(shape).index_copy(0, slots, tokens)
            else:
                tokens = self.encode(persons, self._drawn(len(persons)))
        grid = tokens.unflatten(1, (-1, self.num_joints))
        return grid.permute(0, 3, 1, 2).unflatten(0, x.shape[:2]).contiguous()

    def _drawn(self, num_persons: int) -> Optional[Tensor]:
        """Positions ``(P, S' * V)`` of the tokens that are not dropped; None
        if all are there."""
        if not (self.training and self.token_drop_rate):
            return None
        joints = torch.arange(self.num_joints, device=self.norm.weight.device)
        kept = round((1 - self.token_drop_rate) * self.num_segments) or 1
        score = torch.rand(num_persons, self.num_segments, self.num_joints,
                           device=joints.device)
        segments = score.argsort(1)[:, :kept].sort(1).values
        return (segments * self.num_joints + joints).flatten(1)

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter, for layer-wise learning rate decay.

        Args:
            param_name (str): Full name of the parameter.
            prefix (str): What stands before the backbone's own names.

        Returns:
            tuple[int, int]: The layer's id and the number of layers:
            embeddings 0, block i is i + 1, and the final norm and what is
            outside of the backbone come last with ``depth + 1``.
        """
        num_layers = self.depth + 2
        name = param_name[len(prefix):]
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        if name.startswith(('joint_embed', 'pos_embed')):
            return 0, num_layers
        if name.startswith('blocks.'):
            return int(name.split('.')[1]) + 1, num_layers
        return num_layers - 1, num_layers

    def _check(self, persons: Tensor) -> None:
        shape = tuple(persons.shape)
        wanted = (self.num_frames, self.num_input_joints, self.in_channels)
        if shape[1:] == wanted:
            return
        if len(shape) != 4:
            raise ValueError('persons are (P, T, V, C); got a shape of '
                             f'{shape}')
        if shape[2] != self.num_input_joints:
            raise ValueError(
                f'the data have {shape[2]} joints and the backbone is made '
                f'for {self.num_input_joints}: set num_joints={shape[2]}, or '
                'use data of the other layout')
        if shape[1] % self.patch_len:
            raise ValueError(
                f'{shape[1]} frames cannot be cut into patches of '
                f'{self.patch_len}: sample clip_len={self.num_frames} frames')
        if shape[1] != self.num_frames:
            raise ValueError(
                f'the clips have {shape[1]} frames and the backbone is made '
                f'for {self.num_frames}: set num_frames={shape[1]} (a '
                'checkpoint is resized on loading), or sample '
                f'clip_len={self.num_frames}')
        raise ValueError(f'the joints have {shape[3]} coordinates and the '
                         f'backbone is made for {self.in_channels}: set '
                         f'in_channels={shape[3]}')
