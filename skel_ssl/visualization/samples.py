# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a model made of a clip, as scenes."""
from dataclasses import dataclass, replace
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from skel_ssl.datasets.layouts import (
    LAYOUTS,
    LayoutLike,
    SkeletonLayout,
    get_layout,
)
from skel_ssl.evaluation.predictions import Predictions

from .cameras import guess_up
from .looks import Heat
from .pipeline_steps import innermost
from .reconstruction import can_reconstruct, explain, reconstruct
from .skeletons import Scene, make_scene
from .tokens import spread_tokens

_TOP = 5  # classes that are listed


@dataclass(frozen=True)
class BodyView:
    """How clips are to be looked at.

    Attributes:
        layout (str | dict | SkeletonLayout, optional): The body. None: the
            preset with as many joints, if there is one.
        num_coordinates (int, optional): Two or three; a further channel is
            the score. None: two and three channels are coordinates, of four
            the last one is the score.
        view (str): See :func:`~skel_ssl.visualization.cameras.camera`.
        up (str, optional): See the same; None: guessed from each clip.
        vectors (bool): Whether the coordinates are bones or motion.
    """
    layout: Optional[LayoutLike] = None
    num_coordinates: Optional[int] = None
    view: str = 'front'
    up: Optional[str] = None
    vectors: bool = False

    @classmethod
    def of_dataset(cls, dataset: Any, **kwargs: Any) -> 'BodyView':
        """What a dataset says of its clips.

        Args:
            dataset (Any): One of MMEngine's, or a wrapper of such.
            **kwargs: Attributes that are known.
        """
        dataset = innermost(dataset)[0]
        keypoint = dataset.get_data_info(0)['keypoint']
        feats = (getattr(t, 'feats', None)
                 for t in dataset.pipeline.transforms)
        streams = next(filter(None, feats), ['j'])
        found = dict(
            layout=getattr(dataset, 'layout', None),
            num_coordinates=np.shape(keypoint)[-1],
            vectors=streams[0] != 'j')
        return cls(**{**found, **kwargs})

    def body_of(self, num_joints: int) -> Optional[LayoutLike]:
        """The layout, or the preset with that many joints."""
        if self.layout is not None:
            return self.layout
        return next((x for x in LAYOUTS.values()
                     if x.num_joints == num_joints), None)

    def known_body_of(self, num_joints: int) -> SkeletonLayout:
        """The same, where nothing can be drawn without it.

        Raises:
            ValueError: If there is none.
        """
        body = self.body_of(num_joints)
        if body is None:
            raise ValueError(f'no layout is known of the {num_joints} joints: '
                             "give the dataset's layout")
        return get_layout(body)


@dataclass(frozen=True)
class Clip:
    """A clip as a model gets it.

    Attributes:
        keypoint (np.ndarray): ``(M, T, V, C)`` coordinates, zero for persons
            that are not there.
        scores (np.ndarray, optional): ``(M, T, V)``.
        view (BodyView): How to look at it; its ``up`` is known.
    """
    keypoint: np.ndarray
    scores: Optional[np.ndarray]
    view: BodyView

    def scene(self, keypoint: Optional[np.ndarray] = None,
              **kwargs: Any) -> Scene:
        """The clip, or other coordinates of it, see :func:`make_scene`."""
        view = self.view
        return make_scene(
            self.keypoint if keypoint is None else keypoint,
            view.body_of(self.keypoint.shape[2]), view.view, str(view.up),
            vectors=view.vectors, **{'scores': self.scores, **kwargs})


def read_clip(inputs: Any, view: BodyView, num: int = 0) -> Clip:
    """A clip from what a pipeline gives.

    Args:
        inputs (Tensor | np.ndarray): ``(num_clips, M, T, V, C)`` or
            ``(M, T, V, C)``, with or without scores.
        view (BodyView): How to look at it.
        num (int): Which of several clips.

    Raises:
        ValueError: If these are no keypoints.
    """
    values = np.asarray(inputs, dtype=np.float32)
    if values.ndim == 5:
        values = values[num]
    dims = view.num_coordinates or min(values.shape[-1], 3)
    if values.ndim != 4 or values.shape[-1] < dims or dims not in (2, 3):
        raise ValueError(
            'a clip to be drawn is (num_clips, M, T, V, C) or (M, T, V, C) '
            f'with {view.num_coordinates or "two or three"} coordinates and '
            'perhaps a score, as FormatGCNInput makes it; got a shape of '
            f'{tuple(values.shape)}')
    scores = values[..., dims] if values.shape[-1] == dims + 1 else None
    keypoint = values[..., :dims]
    if view.up is None:
        body = view.body_of(values.shape[2])
        up = None
        if body is not None and dims == 3 and not view.vectors:
            up = guess_up([keypoint], get_layout(body))
        view = replace(view, up=up or '+y')
    return Clip(keypoint, scores, view)


def annotate(model: BaseModel, inputs: Sequence[Tensor],
             samples: Sequence[BaseDataElement]) -> None:
    """Add to data samples of a masked model what pictures need.

    After its ``predict`` mode. Each sample gets ``token_joints``, if not all
    joints are tokens, and ``reconstruction (num_clips, M, T, V, C)`` with
    ``reconstruction_note``, if predictions can be put back into coordinates
    and were kept.

    Args:
        model (BaseModel): A ``MaskedSkeletonModel``.
        inputs (Sequence[Tensor]): The clips, ``(num_clips, M, T, V, C)``.
        samples (Sequence[BaseDataElement]): What ``predict`` gave.
    """
    joints = getattr(model.backbone, 'token_joints', None)
    for clip, sample in zip(inputs, samples):
        if joints is not None:
            sample.set_field(joints.tolist(), 'token_joints')
        if 'prediction' not in sample or not can_reconstruct(model.target):
            continue
        device = sample.prediction.device
        persons = clip[..., :model.backbone.in_channels].float().to(device)
        found = reconstruct(model.target, persons.flatten(0, 1),
                            sample.prediction.flatten(0, 1),
                            sample.mask.flatten(0, 1))
        sample.set_field(found.view_as(persons), 'reconstruction')
        sample.set_field(explain(model.target), 'reconstruction_note')


def sample_scenes(clip: Clip,
                  sample: BaseDataElement,
                  num: int = 0) -> List[Scene]:
    """The scenes of a clip.

    The input; with a ``mask``, what it leaves; with a ``reconstruction``,
    that before the truth; with a ``token_error``, that of the hidden tokens
    as colour.

    Args:
        clip (Clip): The clip.
        sample (BaseDataElement): Fields as ``predict`` and :func:`annotate`
            make them, ``(num_clips, M, ...)``.
        num (int): Which of several clips.

    Raises:
        ValueError: If the fields are of another clip.
    """
    present = _field(sample, 'present', num)
    if present is not None:
        keypoint = clip.keypoint.copy()
        keypoint[~present] = 0
        clip = replace(clip, keypoint=keypoint)
    there = clip.keypoint.any((1, 2, 3))
    frames, num_joints = shape = clip.keypoint.shape[1:3]
    facts = [_count(int(there.sum()), 'person'), _count(shape[0], 'frame')]
    scenes = [clip.scene(title='input', details=', '.join(facts))]
    mask = _field(sample, 'mask', num)
    if mask is None:
        return scenes
    mask = mask & there[:, None, None]
    joints = sample.get('token_joints')
    scenes.append(clip.scene(
        hidden=spread_tokens(mask, frames, num_joints, joints, False),
        title='mask',
        details=_describe_mask(mask[there], shape, joints)))
    found = _field(sample, 'reconstruction', num)
    if found is not None:
        found = np.where(clip.keypoint.any((2, 3), keepdims=True), found, 0)
        scenes.append(clip.scene(
            found, truth=clip.keypoint, title='reconstruction',
            details=sample.get('reconstruction_note', '')))
    error = _field(sample, 'token_error', num)
    if error is not None:
        mean = error[mask].mean() if mask.any() else 0.
        error = np.where(mask, error, np.nan)
        scenes.append(clip.scene(
            heat=error_heat(spread_tokens(error, frames, num_joints, joints)),
            title='error of hidden tokens', details=f'{mean:.3g} on average'))
    return scenes


def _describe_mask(mask: np.ndarray, shape: Tuple[int, int],
                   joints: Optional[Sequence[int]]) -> str:
    """Of the persons that are there, ``(P, S, V')``."""
    segments = mask.shape[1]
    share = mask.mean() if len(mask) else 0.
    lines = [f'{share:.0%} of the tokens are hidden',
             f'{segments} segments of {_count(shape[0] // segments, "frame")}']
    if joints is not None:
        lines.append(f'{len(joints)} of {shape[1]} joints are tokens, the '
                     'others are drawn as they are')
    return '\n'.join(lines)


def error_heat(error: np.ndarray) -> Heat:
    """Errors ``(M, T, V)`` as colours from zero to where 2 % are above."""
    known = error[~np.isnan(error)]
    high = float(np.quantile(known, 0.98)) if len(known) else 1.
    return Heat(error, 0., max(high, 1e-12), 'loss of the token',
                'visible, or no token')


def top_classes(sample: BaseDataElement,
                classes: Sequence[str] = ()) -> List[Tuple[str, float]]:
    """The likeliest classes of a recognised clip, with probabilities.

    Args:
        sample (BaseDataElement): With ``pred_score (C, )``, logits or
            probabilities; without, there are none.
        classes (Sequence[str]): Names of the classes.
    """
    if 'pred_score' not in sample:
        return []
    scores = sample.pred_score.detach().cpu().double().numpy()
    shares = Predictions(scores[None], np.zeros(1, int)).probabilities()[0]
    best = np.argsort(-shares, kind='stable')[:_TOP]
    return [(class_name(i, classes), float(shares[i])) for i in best]


def class_name(label: int, classes: Sequence[str] = ()) -> str:
    """The name of a class, or its number."""
    return classes[label] if label < len(classes) else f'class {label}'


def _count(number: int, what: str) -> str:
    return f'{number} {what}' + ('s' if number != 1 else '')


def _field(sample: BaseDataElement, name: str,
           num: int) -> Optional[np.ndarray]:
    """A field of one clip, on the CPU."""
    value = sample.get(name)
    return None if value is None else value[num].detach().cpu().numpy()
