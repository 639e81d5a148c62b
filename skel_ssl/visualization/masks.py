# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A picture of what a mask hides."""
from typing import Optional, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from skel_ssl.datasets.layouts import LayoutLike, get_layout
from skel_ssl.models.ops.masking import motion_intensity

from .skeletons import draw_moment, make_scene, set_up_axes
from .tokens import spread_tokens

VISIBLE = '#d1495b'


def draw_mask(keypoint: np.ndarray,
              mask: np.ndarray,
              layout: LayoutLike = 'ntu25',
              title: str = '',
              num_poses: int = 6,
              vertical: int = 1,
              token_joints: Optional[Sequence[int]] = None) -> Figure:
    """Draw one person's mask: on the body along time, and as a grid.

    Args:
        keypoint (np.ndarray): ``(T, V, C)``, two coordinates or three.
        mask (np.ndarray): ``(S, V')`` bool, True = hidden.
        layout (str | dict): The body.
        title (str): Title of the figure.
        num_poses (int): How many poses to draw.
        vertical (int): The coordinate that points up, of three.
        token_joints (Sequence[int], optional): The V' joints that are
            tokens; None = all. The others are drawn as visible, and have no
            row in the grid.

    Returns:
        Figure: Above, poses with hidden joints hollow; below, the motion of
        every token with the visible tokens marked.

    Raises:
        ValueError: If mask, joints and layout do not fit together.
    """
    body = get_layout(layout)
    num_frames, patch_len = len(keypoint), len(keypoint) // len(mask)
    joints = range(body.num_joints) if token_joints is None else token_joints
    hidden = spread_tokens(mask[None], num_frames, body.num_joints,
                           token_joints, False)
    scene = make_scene(keypoint[None], body, up=f'+{"xyz"[vertical]}',
                       hidden=hidden)
    motion = motion_intensity(
        torch.as_tensor(keypoint)[None].float(), patch_len)[0].numpy()

    fig = Figure(figsize=(2.0 * num_poses, 7.6), layout='constrained')
    grid = fig.add_gridspec(2, num_poses, height_ratios=[1, 1.5])
    for i, frame in enumerate(
            np.linspace(0, num_frames - 1, num_poses).round().astype(int)):
        ax = fig.add_subplot(grid[0, i])
        set_up_axes(ax, scene)
        draw_moment(ax, scene, frame, 1.4)
        ax.set_title(f'frame {frame}', fontsize=9)

    ax = fig.add_subplot(grid[1, :])
    image = ax.imshow(
        motion[:, list(joints)].T, aspect='auto', cmap='Greys')
    segment, token = np.nonzero(~mask)
    ax.scatter(segment, token, marker='s', s=50, c=VISIBLE, label='visible')
    ax.set_yticks(range(len(joints)), [body.joints[j] for j in joints],
                  fontsize=7)
    ax.set_xlabel(f'segment of {patch_len} frames' if patch_len > 1 else
                  'frame')
    fig.legend(loc='outside lower right', frameon=False)
    fig.colorbar(image, ax=ax, label='mean motion per frame', pad=0.01)
    fig.suptitle(f'{title} {mask.mean():.0%} of the tokens are hidden')
    return fig
