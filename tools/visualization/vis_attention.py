# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Draw where tokens of an encoder look.

One picture a clip, a row a token: the joints' colours are the weights that
its attention gives them, the mean over heads and people see the whole clip.
Of every part of the body the token that moves most, unless --tokens says
which.

  vis_attention.py configs/skel2vec_nwucla.py CKPT
  vis_attention.py configs/skel2vec_nwucla.py CKPT --block 0 \\
      --tokens "right hand" "left foot@6"
"""
import argparse
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.progress import track
from torch import Tensor

from skel_ssl.apis.pretrained import load_pretrained
from skel_ssl.datasets.layouts import SkeletonLayout
from skel_ssl.models.ops.masking import motion_intensity
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.registry import MODELS
from skel_ssl.utils.cli import run
from skel_ssl.visualization.attention import (
    attention_rollout,
    record_attention,
    salient_tokens,
)
from skel_ssl.visualization.clip_sources import nearest
from skel_ssl.visualization.looks import Heat
from skel_ssl.visualization.model_clips import build_dataset, read_clips
from skel_ssl.visualization.options import (
    Studio,
    add_arguments,
    parse,
    read_config,
)
from skel_ssl.visualization.samples import Clip, read_clip
from skel_ssl.visualization.skeletons import Scene
from skel_ssl.visualization.tokens import spread_tokens

ROLLOUT = 'rollout'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='a config with a transformer as model.backbone')
    parser.add_argument(
        'checkpoint', help='weights; every one must have its place')
    parser.add_argument(
        '--block',
        default='-1',
        help='which block, counted from 0, or from the end with -1; '
        f'{ROLLOUT!r} goes through all of them (default: %(default)s)')
    parser.add_argument(
        '--tokens',
        nargs='+',
        metavar='JOINT[@SEGMENT]',
        help='names or numbers of joints; without a segment the middle one')
    parser.add_argument(
        '--pretrained-prefix',
        metavar='PREFIX',
        help="which weights: 'target.teacher.module.' (the EMA teacher; "
        "default if there is one), 'backbone.' (the student)")
    add_arguments(parser, 'work_dirs/attention')
    args = parse(parser)
    if args.block != ROLLOUT:
        try:
            args.block = int(args.block)
        except ValueError:
            parser.error(f'--block {args.block} is neither a number nor '
                         f'{ROLLOUT!r}')
    return args


def load_backbone(cfg: Config, checkpoint: str,
                  prefix: Optional[str]) -> Any:
    """The transformer of a config with pre-trained weights.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is no transformer, or see :func:`load_pretrained`.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
    backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    if not hasattr(backbone, 'blocks'):
        raise ValueError(
            f'{cfg.filename} has a {type(backbone).__name__} as backbone, '
            'which has no attention to draw: give a config with a '
            'SkeletonTransformer')
    load_pretrained(backbone, checkpoint, prefix)
    return backbone.eval()


def find_token(text: str, names: Sequence[str], num_segments: int) -> int:
    """Place of ``JOINT[@SEGMENT]`` in the flattened (S, V) grid.

    Args:
        text (str): Such as ``'right hand@3'`` or ``'11'``.
        names (Sequence[str]): Names of the joints that are tokens.
        num_segments (int): S.

    Raises:
        ValueError: If there is no such token.
    """
    joint, _, segment = text.partition('@')
    segment = segment or str(num_segments // 2)
    if joint in names:
        place = list(names).index(joint)
    elif joint.isdigit() and int(joint) < len(names):
        place = int(joint)
    else:
        raise ValueError(
            f'--tokens {text}: there is no joint {joint!r} among the tokens; '
            f'did you mean one of {nearest(joint, names) or list(names)}?')
    if not segment.isdigit() or int(segment) >= num_segments:
        raise ValueError(f'--tokens {text}: segments are 0 to '
                         f'{num_segments - 1}, not {segment}')
    return int(segment) * len(names) + place


class Attentive:
    """A backbone whose attention is looked at.

    Args:
        backbone (nn.Module): In eval mode.
        body (SkeletonLayout): The body of the clips.
        block (int | str): Which block, or ``'rollout'``.
        tokens (Sequence[str], optional): See :func:`find_token`.
    """

    def __init__(self, backbone: Any, body: SkeletonLayout,
                 block: Union[int, str],
                 tokens: Optional[Sequence[str]]) -> None:
        self.backbone, self.block = backbone, block
        self.joints: List[int] = list(range(body.num_joints))
        if hasattr(backbone, 'token_joints'):
            self.joints = backbone.token_joints.tolist()
        self.names = [body.joints[j] for j in self.joints]
        self.parts = [[self.joints.index(j) for j in part if j in self.joints]
                      for part in body.parts.values()]
        self.chosen = None if tokens is None else [
            find_token(t, self.names, backbone.num_segments) for t in tokens]

    @torch.no_grad()
    def look(self, persons: Tensor, tokens: List[int]) -> Tensor:
        """``(P, T, V, C)`` to weights ``(P, Q, L)``, the mean over heads."""
        blocks = self.backbone.blocks
        if isinstance(self.block, str):
            which = list(range(len(blocks)))
            with record_attention(blocks, which) as found:
                self.backbone.encode(persons)
            return attention_rollout([found[i] for i in which])[:, tokens]
        with record_attention(blocks, [self.block], tokens) as found:
            self.backbone.encode(persons)
        return found[self.block].mean(1)

    def scenes(self, inputs: Tensor, clip: Clip) -> List[Scene]:
        """A scene for each token, of all persons of a clip."""
        there = present_persons(inputs[0]).numpy()
        persons = inputs[0][there].float()
        grid = (self.backbone.num_segments, len(self.joints))
        tokens = self.chosen
        if tokens is None:
            motion = motion_intensity(persons, self.backbone.patch_len)
            tokens = salient_tokens(motion[0][:, self.joints], self.parts)
        weights = self.look(persons, tokens).unflatten(2, grid).numpy()
        # 1 = what even attention would give. The scale ends below a token's
        # own weight, which is the highest by far after a rollout.
        weights = weights * (grid[0] * grid[1])
        high = float(np.quantile(weights, 0.985))
        num_frames, num_joints = clip.keypoint.shape[1:3]
        scenes = [clip.scene(title='input')]
        for i, token in enumerate(tokens):
            segment, joint = divmod(token, grid[1])
            values = np.full((len(there), *grid), np.nan)
            values[there] = weights[:, i]
            mark = np.zeros((len(there), *grid), bool)
            mark[there, segment, joint] = True
            heat = Heat(
                spread_tokens(values, num_frames, num_joints, self.joints), 0.,
                high, 'attention, 1 = even', 'no token')
            frames = num_frames // grid[0]
            scenes.append(clip.scene(
                heat=heat,
                marks=spread_tokens(mark, num_frames, num_joints, self.joints,
                                    False),
                title=self.names[joint],
                details=f'in the frames {segment * frames} to '
                f'{segment * frames + frames - 1} looks at what is dark'))
        return scenes


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    dataset = build_dataset(cfg, args.augment)
    backbone = load_backbone(cfg, args.checkpoint, args.pretrained_prefix)
    studio = Studio(args, dataset)
    body = studio.view.known_body_of(backbone.num_input_joints)
    attentive = Attentive(backbone, body, args.block, args.tokens)
    batch = read_clips(dataset, studio.indices, args.seed)
    block = args.block
    if block != ROLLOUT:
        block = f'block {block % len(backbone.blocks)}'
    for name, inputs in track(
            list(zip(studio.names, batch['inputs'])), 'drawing',
            console=Console(stderr=True), transient=True):
        studio.visualizer.add_scenes(
            name, attentive.scenes(inputs, read_clip(inputs, studio.view)),
            f'{name}: attention, {block}, mean over heads',
            out_file=studio.path(name))
    studio.report()


if __name__ == '__main__':
    run(main)
