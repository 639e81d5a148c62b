# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A picture of what a mask hides."""
from typing import Union

import numpy as np
from matplotlib.figure import Figure

from skel_ssl.datasets.layouts import SkeletonLayout, get_layout
from skel_ssl.models.ops.masking import motion_intensity

VISIBLE, HIDDEN = '#d1495b', '#b8c0cc'


def draw_mask(keypoint: np.ndarray,
              mask: np.ndarray,
              layout: Union[str, dict, SkeletonLayout] = 'ntu25',
              title: str = '',
              num_poses: int = 6,
              vertical: int = 1) -> Figure:
    """Draw one person's mask: on the body along time, and as a grid.

    Args:
        keypoint (np.ndarray): ``(T, V, 3)``.
        mask (np.ndarray): ``(S, V)`` bool, True = hidden.
        layout (str | dict): The body.
        title (str): Title of the figure.
        num_poses (int): How many poses to draw.
        vertical (int): The coordinate that points up.

    Returns:
        Figure: Above, poses with the visible joints in colour; below, the
        motion of every token with the visible tokens framed.
    """
    import torch
    body = get_layout(layout)
    num_frames, patch_len = len(keypoint), len(keypoint) // len(mask)
    motion = motion_intensity(
        torch.as_tensor(keypoint)[None].float(), patch_len)[0].numpy()

    fig = Figure(figsize=(2.0 * num_poses, 7.6), layout='constrained')
    grid = fig.add_gridspec(2, num_poses, height_ratios=[1, 1.5])
    across = keypoint[..., 0]
    up = keypoint[..., vertical]
    reach = 0.55 * max(np.ptp(across), np.ptp(up), 1e-6)
    middle = (across.max() + across.min()) / 2, (up.max() + up.min()) / 2
    for i, frame in enumerate(
            np.linspace(0, num_frames - 1, num_poses).round().astype(int)):
        ax = fig.add_subplot(grid[0, i])
        x, y = across[frame], up[frame]
        for child, parent in body.bones:
            ax.plot(x[[child, parent]], y[[child, parent]], c=HIDDEN, lw=1.5)
        hidden = mask[min(frame // patch_len, len(mask) - 1)]
        ax.scatter(x[hidden], y[hidden], c=HIDDEN, s=10, zorder=2)
        ax.scatter(x[~hidden], y[~hidden], c=VISIBLE, s=45, zorder=3)
        ax.set_xlim(middle[0] - reach, middle[0] + reach)
        ax.set_ylim(middle[1] - reach, middle[1] + reach)
        ax.set_aspect('equal')
        ax.set_title(f'frame {frame}', fontsize=9)
        ax.axis('off')

    ax = fig.add_subplot(grid[1, :])
    image = ax.imshow(motion.T, aspect='auto', cmap='Greys')
    segment, joint = np.nonzero(~mask)
    ax.scatter(segment, joint, marker='s', s=50, c=VISIBLE, label='visible')
    ax.set_yticks(range(body.num_joints), body.joints, fontsize=7)
    ax.set_xlabel(f'segment of {patch_len} frames')
    ax.legend(loc='lower right', bbox_to_anchor=(1, 1), frameon=False)
    fig.colorbar(image, ax=ax, label='mean motion per frame', pad=0.01)
    fig.suptitle(f'{title} {mask.mean():.0%} of the tokens are hidden')
    return fig
