# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From what people have to clips that are fit for a model."""
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from skel_ssl.datasets.checks import clip_fault, clip_name
from skel_ssl.datasets.layouts import LAYOUTS, SkeletonLayout
from skel_ssl.datasets.ragged_store import SUFFIX as STORE
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.natural import natural_key

from .input_files import READERS, read_file
from .video import SUFFIXES as VIDEOS
from .video import read_video

Input = Union[str, os.PathLike, np.ndarray, Tensor, Mapping[str, Any]]
Clip = Dict[str, Any]
OnTotal = Callable[[Optional[int]], Any]

# What is taken over from an annotation besides the keypoints.
_KEPT = ('label', 'img_shape', 'total_frames')
_SHAPES = ('(persons, frames, joints, coordinates), (frames, joints, '
           'coordinates) or, for one frame, (joints, coordinates)')


class InputError(ValueError):
    """An input cannot be used; the message begins with which one it is."""


OnBad = Callable[[InputError], Any]


class _Source(NamedTuple):
    """An input: what errors call it, its name, and its content."""
    where: str
    name: str
    content: Any


@dataclass(frozen=True)
class ClipReader:
    """Makes clips of files, arrays and annotations, and checks them.

    Args:
        layout (SkeletonLayout, optional): The body that the model takes.
            None: any, and no file that has names of joints can be read.
        coordinates (int, optional): 2 or 3, as the model takes them.
        max_persons (int, optional): The most persons in a clip; None: any.
        scale (float): Factor of the coordinates, to bring them into the unit
            that the model was trained with: 0.001 makes millimetres metres.
        img_shape (tuple[int, int], optional): Height and width of the images
            that 2D coordinates are pixels of, where a clip does not say it.
        assumed_img_shape (tuple[int, int], optional): What the pipeline
            takes them for where nobody says it, which is worth a warning.

    Raises:
        ValueError: If the scale is not above 0, or the model takes no pixels
            and ``img_shape`` is given.
    """
    layout: Optional[SkeletonLayout] = None
    coordinates: Optional[int] = None
    max_persons: Optional[int] = 2
    scale: float = 1.
    img_shape: Optional[Tuple[int, int]] = None
    assumed_img_shape: Optional[Tuple[int, int]] = None

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f'scale={self.scale} must be above 0')
        if self.img_shape is not None and self.assumed_img_shape is None:
            raise ValueError(
                f'img_shape={self.img_shape}: the pipeline of this model has '
                'no PreNormalize2D, so the size of images does not matter: '
                'leave it out')

    def read(self,
             inputs: Union[Input, Iterable[Input]],
             on_total: OnTotal = lambda total: None,
             on_bad: Optional[OnBad] = None) -> Iterator[Clip]:
        """Read inputs one after the other.

        Args:
            inputs: One input or a list of them. An input is a path (a file
                that :func:`read_file` reads, a video, or a folder with
                either), an array (M, T, V, C), (T, V, C) or (V, C), or an
                annotation: a dict with such an array as ``keypoint`` and
                perhaps its ``keypoint_score``, ``frame_dir``, ``label`` and
                ``img_shape``.
            on_total (Callable): Called with the number of clips so far known,
                None if it is not known.
            on_bad (Callable, optional): Called with the :class:`InputError`
                of a clip, or of a file, that cannot be used; the others go
                on. None: it is raised.

        Yields:
            dict: A clip: ``keypoint`` (M, T, V, C) float32, ``total_frames``,
            ``frame_dir`` (its name), ``input`` (where it came from) and, if
            they are known, ``keypoint_score`` (M, T, V) float32 of 2D
            joints, ``label`` and ``img_shape``. Persons that are zero
            throughout are left out. Scores of 3D joints are not used.

        Raises:
            FileNotFoundError: If there is no such file.
            InputError: If there is no input, or one cannot be used (with
                ``on_bad``: if none can).
        """
        return self._read(list_inputs(inputs), on_total, on_bad)

    def _read(self, sources: List[_Source], on_total: OnTotal,
              on_bad: Optional[OnBad]) -> Iterator[Clip]:
        total: Optional[int] = len(sources)

        def add(number: Optional[int]) -> None:
            nonlocal total
            if total is None or number is None:
                total = None
            else:
                total += number
            on_total(total)

        on_total(total)
        used, first = 0, ''
        for source in sources:
            for found in self._attempts(source, add):
                if not isinstance(found, InputError):
                    used += 1
                    yield found
                elif on_bad is None:
                    raise found
                else:
                    first = first or str(found)
                    on_bad(found)
                    add(-1)
        if not used:
            raise InputError(f'no input can be used; the first: {first}')

    def _attempts(
        self, source: _Source, add: OnTotal
    ) -> Iterator[Union[Clip, InputError]]:
        """The clips of an input, and why one cannot be used."""
        index = -1
        try:
            annotations = self._annotations(source)
            more = None
            if isinstance(annotations, list):
                more = len(annotations[1:])
            add(more)
            for index, annotation in enumerate(annotations):
                try:
                    clip = self._make(source, annotation, index)
                except InputError as error:
                    yield error
                else:
                    yield clip
        except InputError as error:
            yield error
        except ValueError as error:  # of a file that is read bit by bit
            yield InputError(f'{source.where}: {error}')
        else:
            if index < 0:
                yield InputError(f'{source.where}: it holds no clips')

    def _annotations(self, source: _Source) -> Iterable[Mapping[str, Any]]:
        content = source.content
        if isinstance(content, Mapping):
            return _listed(content, source.where)
        if not isinstance(content, Path):
            return [dict(keypoint=content)]
        try:
            if content.suffix.lower() in VIDEOS:
                return [read_video(content, self.layout, self.max_persons)]
            return read_file(content, self.layout)
        except BadFileError as error:
            raise InputError(f'{source.where}: {error}') from None

    def _make(self, source: _Source, annotation: Mapping[str, Any],
              index: int) -> Clip:
        where, shown, name = source.where, source.name, Path(source.name).stem
        named = 'frame_dir' in annotation or 'filename' in annotation
        if named or index:
            name = str(clip_name(annotation)) if named else f'{name}_{index}'
            where, shown = f'{where}, clip {name!r}', f'{shown}: {name}'
        if 'keypoint' not in annotation:
            raise InputError(f"{where}: there is no 'keypoint', only "
                             f'{sorted(map(str, annotation))}')
        clip = {key: annotation[key] for key in _KEPT if key in annotation}
        clip['keypoint'] = _as_array(annotation['keypoint'], where)
        missing = 4 - clip['keypoint'].ndim
        clip['keypoint'] = clip['keypoint'][(None, ) * missing]
        if 'keypoint_score' in annotation and self.coordinates != 3:
            score = np.asarray(annotation['keypoint_score'])
            clip['keypoint_score'] = score[(None, ) * missing]
        clip.setdefault('total_frames', clip['keypoint'].shape[1])
        clip.update(frame_dir=name, input=shown)
        self._check_shape(clip['keypoint'], where)
        fault = clip_fault(clip)
        if fault is not None:
            raise InputError(f'{where}: {fault}{_way_out(fault)}')
        if self.img_shape is not None:
            clip.setdefault('img_shape', self.img_shape)
        elif self.assumed_img_shape is not None and 'img_shape' not in clip:
            self._warn_of_pixels(*self.assumed_img_shape)
        return self._present(clip, where)

    @staticmethod
    def _warn_of_pixels(height: int, width: int) -> None:
        # The same text for every clip, which Python shows once.
        warnings.warn(
            'nothing says how large the images of these 2D poses are: they '
            f'are taken for {width} x {height} pixels, by the config. If they '
            'are not, give img_shape=(height, width), or --img-shape HEIGHT '
            'WIDTH', stacklevel=2)

    def _check_shape(self, keypoint: np.ndarray, where: str) -> None:
        _, _, joints, coordinates = shape = keypoint.shape
        if not keypoint.size:
            missing = [name for name, size in zip(
                ('persons', 'frames', 'joints', 'coordinates'), shape)
                if not size]
            raise InputError(f'{where}: it is empty, 0 {missing[0]}: its '
                             f'shape is {shape}; leave it out')
        body = self.layout
        if body is not None and joints != body.num_joints:
            others = [name for name, other in LAYOUTS.items()
                      if other.num_joints == joints]
            fits = (f'{joints} joints are those of layout '
                    f'{" or ".join(map(repr, others))}: use a model of that '
                    'layout' if others else
                    'no preset has that many: is the order of the axes right?')
            raise InputError(
                f'{where}: it has {joints} joints (its shape is {shape}) and '
                f'the model takes {body.num_joints}, layout {body.name!r}. '
                f'{fits}; or bring the joints into the order of '
                f'{body.name!r}, see skel_ssl/datasets/layouts.py')
        if self.coordinates not in (None, coordinates):
            way_out = 'give it 3D poses, or use a model of 2D poses'
            if self.coordinates == 2:
                way_out = ('if the third is a score, give dict(keypoint='
                           'x[..., :2], keypoint_score=x[..., 2])')
            raise InputError(
                f'{where}: its joints have {coordinates} coordinates (its '
                f'shape is {shape}) and the model takes {self.coordinates}: '
                f'{way_out}')

    def _present(self, clip: Clip, where: str) -> Clip:
        """Without absent persons, in float32."""
        there = seen_persons(clip)
        if not there.any():
            raise InputError(f'{where}: it shows nobody: no joint has a score '
                             'above 0')
        if self.max_persons is not None and there.sum() > self.max_persons:
            raise InputError(
                f'{where}: it shows {there.sum()} persons, and the model '
                f'takes {self.max_persons} at most: choose them and set the '
                'others to 0, or make an input of each')
        with np.errstate(over='ignore'):  # it is looked at below
            for key in ('keypoint', 'keypoint_score'):
                if key in clip:
                    clip[key] = clip[key][there].astype(np.float32)
            clip['keypoint'] *= self.scale
        if not np.isfinite(clip['keypoint']).all():
            raise InputError(f'{where}: it has coordinates beyond those of '
                             'float32: is the unit right?')
        return clip


def seen_persons(clip: Mapping[str, Any],
                 frames: slice = slice(None)) -> np.ndarray:
    """Which persons have a joint with coordinates and, where scores are
    known, one above 0, in these frames of a clip: ``(M,)`` bool."""
    seen = clip['keypoint'][:, frames].any(-1)
    if 'keypoint_score' in clip:
        seen &= clip['keypoint_score'][:, frames] > 0
    return seen.any((1, 2))


def list_inputs(inputs: Union[Input, Iterable[Input]]) -> List[_Source]:
    """One source an input, with folders replaced by the files in them.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If there is no input, or one is of no known kind.
    """
    listed: List[Any] = [inputs]
    if isinstance(inputs, Iterable) and not isinstance(
            inputs, (str, bytes, os.PathLike, np.ndarray, Tensor, Mapping)):
        listed = list(inputs)
    if not listed:
        raise InputError(
            'the list of inputs is empty: give paths, arrays or annotations')
    sources: List[_Source] = []
    for i, content in enumerate(listed):
        where = f'input {i}'
        if isinstance(content, (str, os.PathLike)):
            sources += _list_path(Path(os.path.expanduser(content)), where)
        elif isinstance(content, (np.ndarray, Tensor, Mapping)):
            sources.append(_Source(where, where, content))
        else:
            raise InputError(
                f'{where}: a {type(content).__name__} is no input; give a '
                'path, an array or an annotation (numbers in lists: '
                'np.array(...) of them)')
    return sources


def _list_path(path: Path, where: str) -> List[_Source]:
    known = (*READERS, *VIDEOS)
    if path.suffix == STORE:
        raise InputError(
            f'{where} ({path}) is a ragged store: give the pickle that it '
            'was made of, or name it as ann_file of a config')
    if path.is_dir():
        files = sorted((file for file in path.rglob('*')
                        if file.suffix.lower() in known and file.is_file()),
                       key=lambda file: natural_key(file.as_posix()))
        if not files:
            raise InputError(f'{where}: in the folder {path} is no file that '
                             f'can be read: {", ".join(known)}')
        return [_Source(f'{where} ({file})', str(file), file)
                for file in files]
    if not path.is_file():
        raise FileNotFoundError(
            f'{where}: there is no file {str(path)!r}; relative paths start '
            f'at the working directory, {os.getcwd()!r}')
    if path.suffix.lower() not in known:
        raise InputError(f'{where} ({path}): {path.suffix!r} files are not '
                         f'read; these are: {", ".join(known)}')
    return [_Source(f'{where} ({path})', str(path), path)]


def _listed(content: Mapping[str, Any], where: str) -> List[Any]:
    """The annotations of a data set, or the only one."""
    found = content.get('annotations', [content])
    if not isinstance(found, (list, tuple)) or not all(
            isinstance(annotation, Mapping) for annotation in found):
        raise InputError(f"{where}: its 'annotations' are no list of dicts")
    return list(found)


def _as_array(values: Any, where: str) -> np.ndarray:
    """The coordinates, of two to four axes."""
    if isinstance(values, Tensor):
        try:
            values = values.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:  # of bfloat16, or sparse
            raise InputError(f'{where}: {error}') from None
    array = np.asarray(values)
    if array.dtype.kind not in 'fiu':
        raise InputError(f'{where}: its coordinates are no numbers, but '
                         f'{array.dtype}')
    if array.ndim not in (2, 3, 4):
        raise InputError(f'{where}: its shape is {array.shape}; it must be '
                         f'{_SHAPES}')
    return array


def _way_out(fault: str) -> str:
    """What to do about what :func:`clip_fault` found."""
    if 'not finite' in fault and 'score' not in fault:
        return ('. Fill the gap from the frames around it, or set all '
                'joints of a person who is not seen to 0')
    if 'nobody' in fault:
        return '. Leave it out'
    return ''


class SkippedInputs:
    """Notes the inputs that are left out, and warns of each.

    Attributes:
        reasons (list[str]): Which one, and why.
    """

    def __init__(self) -> None:
        self.reasons: List[str] = []

    def add(self, error: InputError) -> None:
        self.reasons.append(str(error))
        print_log(f'left out: {error}', 'current', logging.WARNING)
