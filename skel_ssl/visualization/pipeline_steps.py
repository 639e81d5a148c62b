# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Clips after every step of a pipeline."""
import re
from dataclasses import dataclass, replace
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from skel_ssl.datasets.layouts import LayoutLike, get_layout
from skel_ssl.datasets.seeded_sampler import (
    SeededIndex,
    isolated_random,
    sample_seed,
)

from .cameras import guess_up
from .skeletons import Box, Scene, empty_scene, make_scene

RAW = 'raw'  # name of the clip before the first transform
_STREAMS = {
    'j': 'joints',
    'b': 'bones: vectors from the parent joint',
    'jm': "joints' motion: vectors to the next frame",
    'bm': "bones' motion: vectors to the next frame"
}
_LARGEST_SHARE = 3.  # further out, places in an image are pixels


@dataclass(frozen=True)
class Step:
    """A clip after a transform.

    Attributes:
        name (str): Type of the transform, or :data:`RAW`.
        place (int): Number of transforms so far.
        settings (str): Its settings.
        keypoint (np.ndarray, optional): ``(M, T, V, C)``, two or three
            coordinates of the first of the streams; several clips
            (``num_clips``) lie one after the other in time. None: there are
            no keypoints.
        scores (np.ndarray, optional): ``(M, T, V)``.
        hidden (np.ndarray, optional): ``(M, T, V)`` bool, what a mask hides.
        streams (tuple[str]): What the coordinates are, as in
            ``PoseGenSkeFeat``; the first one is drawn.
        num_clips (int): Clips along time.
        img_shape (tuple, optional): Height and width of the image.
        changed (bool): Whether any of it differs from the step before.
        note (str): What is written instead of keypoints, if there are none.
    """
    name: str
    place: int = 0
    settings: str = ''
    keypoint: Optional[np.ndarray] = None
    scores: Optional[np.ndarray] = None
    hidden: Optional[np.ndarray] = None
    streams: Tuple[str, ...] = ('j', )
    num_clips: int = 1
    img_shape: Optional[Tuple[int, int]] = None
    changed: bool = True
    note: str = 'no keypoints here'

    def same_picture(self, other: 'Step') -> bool:
        """Whether another step looks alike."""
        arrays = ('keypoint', 'scores', 'hidden')
        return self.streams == other.streams and all(
            _equal(getattr(self, key), getattr(other, key)) for key in arrays)


def _equal(one: Optional[np.ndarray], other: Optional[np.ndarray]) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


class StepRecorder:
    """Looks on while a dataset's own pipeline works.

    Between its transforms go others that only take notes, so it is the
    dataset's ``Compose`` that runs them.

    Args:
        dataset (Dataset): One of MMEngine's or a wrapper of such, whose
            pipelines are changed.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.steps: List[Step] = []
        for inner in innermost(dataset):
            transforms = inner.pipeline.transforms
            noting: List[Callable] = [self._take_notes(0, None)]
            for i, transform in enumerate(transforms):
                noting += [transform, self._take_notes(i + 1, transform)]
            inner.pipeline.transforms = noting

    def _take_notes(self, place: int,
                    transform: Optional[Callable]) -> Callable:
        def take_notes(results: dict) -> dict:
            # A dataset that tries another clip begins anew.
            before = self.steps[place - 1] if place else None
            self.steps[place:] = [take_step(results, transform, before)]
            return results

        return take_notes

    def record(self, index: int, seed: int = 0, epoch: int = 0) -> List[Step]:
        """Run the pipeline on a clip, with the numbers of a training.

        Args:
            index (int): Index of the clip in the dataset.
            seed (int): Seed of the run.
            epoch (int): Epoch of the run: clip and epoch have random numbers
                of their own, see :func:`sample_seed`.

        Returns:
            list[Step]: The raw clip, and one step a transform.
        """
        seed = sample_seed(seed, epoch, index)
        with isolated_random(seed):
            self.dataset[SeededIndex(index, seed)]
        return list(self.steps)


def innermost(dataset: Any) -> List[Any]:
    """The datasets that have pipelines, within concatenations and such."""
    parts = getattr(dataset, 'datasets', None)
    if parts is None:
        parts = [dataset.dataset] if hasattr(dataset, 'dataset') else []
    return [x for part in parts for x in innermost(part)] or [dataset]


def take_step(results: Mapping[str, Any],
              transform: Optional[Callable] = None,
              before: Optional[Step] = None) -> Step:
    """Copy what is to be drawn of a clip.

    Args:
        results (Mapping): What the transform gave.
        transform (Callable, optional): The transform; None: the raw clip.
        before (Step, optional): The step before, with the transform.
    """
    name = RAW if before is None else type(transform).__name__
    streams = tuple(getattr(transform, 'feats', None) or
                    (before.streams if before else ('j', )))
    settings = '' if transform is None else _settings(transform)
    found = results.get('keypoint', results.get('inputs'))
    if isinstance(found, Mapping):
        found = found.get('keypoint')
    mask = results.get('mask')
    if 'data_samples' in results:
        mask = results['data_samples'].get('mask')
    step = Step(
        name, before.place + 1 if before else 0, settings, streams=streams,
        img_shape=results.get('img_shape', before and before.img_shape))
    if found is not None:
        keypoint, num_clips = _side_by_side(np.array(found, copy=True))
        dims = keypoint.shape[-1]
        if before is not None and before.keypoint is not None:
            if keypoint.shape[-2] != before.keypoint.shape[-2]:
                return step  # another thing, such as heatmaps
            dims = before.keypoint.shape[-1]
        scores = results.get('keypoint_score')
        if keypoint.shape[-1] == dims * len(streams) + 1:
            scores = keypoint[..., -1]  # FormatGCNInput puts them there
        step = replace(
            step, keypoint=keypoint[..., :dims], num_clips=num_clips,
            scores=None if scores is None else np.array(scores, copy=True))
        if mask is not None:
            step = replace(
                step, hidden=_spread(np.asarray(mask), keypoint.shape[1]))
    return step if before is None else replace(
        step, changed=not step.same_picture(before))


def _settings(transform: Callable) -> str:
    """What is in the brackets of the transform's own text."""
    found = re.fullmatch(r'\w+\((.*)\)', repr(transform), re.DOTALL)
    return ' '.join(found[1].split()) if found else ''


def _side_by_side(values: np.ndarray) -> Tuple[np.ndarray, int]:
    """``(M, nc * T, ...)`` of ``(nc, M, T, ...)``, and nc."""
    if values.ndim == 4:
        return values, 1
    clips, persons, frames = values.shape[:3]
    return values.swapaxes(0, 1).reshape(persons, clips * frames,
                                         *values.shape[3:]), clips


def _spread(mask: np.ndarray, num_frames: int) -> np.ndarray:
    """``(M, nc * T, V)`` of a mask ``(nc, M, S, V)``; of several masks of a
    person, ``(nc, M, K, S, V)``, the first."""
    if mask.ndim == 5:
        mask = mask[:, :, 0]
    clips, persons, segments, joints = mask.shape
    patch = num_frames // (clips * segments)
    return mask.swapaxes(0, 1).reshape(persons, clips * segments,
                                       joints).repeat(patch, 1)


def guess_step_ups(clips: Sequence[Sequence[Step]],
                   layout: Optional[LayoutLike] = None,
                   names: Sequence[str] = ()) -> List[str]:
    """The axis that points up after each step, by the bodies of some clips.

    Args:
        clips (Sequence[Sequence[Step]]): Clips, each with the same steps.
        layout (str | dict | SkeletonLayout, optional): The body.
        names (Sequence[str]): Names of the joints, if there is no layout.

    Returns:
        list[str]: ``'+y'`` and the like. Where nothing can be known, as of
        vectors: as before, at first ``'+y'``.
    """
    body = None if layout is None else get_layout(layout)
    ups: List[str] = []
    for steps in zip(*clips):
        poses = [step.keypoint for step in steps
                 if step.keypoint is not None and step.streams[0] == 'j'
                 and step.keypoint.shape[-1] == 3]
        up = guess_up(poses, body, names) if poses else None
        ups.append(up or (ups[-1] if ups else '+y'))
    return ups


def draw_step(step: Step,
              layout: Optional[LayoutLike] = None,
              view: str = 'front',
              up: str = '+y',
              title: Optional[str] = None) -> Scene:
    """A step as a scene.

    Args:
        step (Step): The step.
        layout (str | dict | SkeletonLayout, optional): The body. None:
            joints without lines.
        view (str): See :func:`~skel_ssl.visualization.cameras.camera`.
        up (str): See :func:`~skel_ssl.visualization.cameras.camera`.
        title (str, optional): Instead of the step's place, name and
            settings, where the steps around it are not drawn.
    """
    alone = title is not None
    settings = '' if alone else step.settings
    title = title if alone else f'{step.place} {step.name}'
    if step.keypoint is None:
        return empty_scene(step.note, title=title, details=settings)
    persons, frames, _, coordinates = step.keypoint.shape
    facts = [_count(persons, 'person'), _count(frames, 'frame')]
    if step.num_clips > 1:
        facts.append(f'{step.num_clips} clips')
    if coordinates == 3:
        facts.append(f'{up} up')
    lines = [', '.join(facts)]
    if not (step.changed or alone):
        lines.append('= as before')
    if step.streams != ('j', ):
        lines.append(_STREAMS[step.streams[0]])
        if len(step.streams) > 1:
            lines.append(f'(the first of {", ".join(step.streams)})')
    return make_scene(
        step.keypoint, layout, view, up, step.scores, step.hidden,
        _image(step.keypoint, step), vectors=step.streams[0] != 'j',
        title=title,
        details='\n'.join([*lines, settings]))


def _count(number: int, what: str) -> str:
    return f'{number} {what}' + ('s' if number != 1 else '')


def _image(keypoint: np.ndarray, step: Step) -> Optional[Box]:
    """Left, top, right, bottom of the image, if the joints are in one."""
    if keypoint.shape[-1] != 2 or step.streams[0] != 'j':
        return None
    if np.abs(keypoint).max(initial=0) <= _LARGEST_SHARE:
        return -1., -1., 1., 1.
    if step.img_shape is None:
        return None
    return 0., 0., float(step.img_shape[1]), float(step.img_shape[0])
