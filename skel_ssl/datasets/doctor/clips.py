# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""One clip of the file: what it says of itself and what is in it."""
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..checks import as_whole_number, clip_fault, clip_name, shows_nobody
from ..subjects import subject_of
from .body import Body
from .measure import Measures, measure

# What a fault that clip_fault finds is called here: the first part of its
# text that occurs below. Any other one is 'unusable'.
_CODES = (
    ('total_frames', 'total-frames'),
    ('frame_dir', 'no-name'),
    ('keypoint_score', 'score'),
    ("no 'keypoint'", 'bad-array'),
    ('real numbers', 'bad-array'),
    ('has shape', 'bad-array'),
    ('no frames', 'no-frames'),
    ('not finite', 'not-finite'),
    ('holds nobody', 'nobody'),
)
# The clip can be used once these are mended.
MENDABLE = ('total-frames', )

# Where a clip was recorded, if its annotation does not say so: NTU RGB+D,
# NW-UCLA.
_CAMERA = re.compile(r'S\d{3}C(\d{3})P\d{3}|_v(\d+)$')
_SETUP = re.compile(r'S(\d{3})C\d{3}P\d{3}')

ClipFault = Tuple[str, str]


@dataclass
class Clip:
    """A clip as the doctor sees it.

    Attributes:
        index (int): Place in the file.
        name (str): Its name, or '#7' for the eighth clip if it has none.
        label (int, optional): None if it has no label, or an invalid one.
        label_text (str, optional): An invalid label as it is written.
        subject (str, optional): Who acts.
        camera (str, optional): Which camera or view.
        setup (str, optional): Which setup of NTU RGB+D 120.
        faults (list[tuple[str, str]]): (code, text) of what makes it
            unusable, or must be mended.
        measures (Measures, optional): None if it cannot be used.
        unseen (bool): Whether it has scores and all of them are 0.
    """
    index: int
    name: str
    label: Optional[int] = None
    label_text: Optional[str] = None
    subject: Optional[str] = None
    camera: Optional[str] = None
    setup: Optional[str] = None
    faults: List[ClipFault] = field(default_factory=list)
    measures: Optional[Measures] = None
    unseen: bool = False

    @property
    def usable(self) -> bool:
        return all(code in MENDABLE for code, _ in self.faults)


def read_clip(index: int, annotation: Mapping[str, Any], body: Body) -> Clip:
    """Look at one clip.

    Args:
        index (int): Its place in the file.
        annotation (Mapping): What the file says; anything may be in it.
        body (Body): What bodies of this file are like.
    """
    name = clip_name(annotation)
    if not isinstance(name, str):
        fault = 'no-name', f'its name is {_short(name)}, which is not text'
        return Clip(index, f'#{index}', faults=[fault])
    faults = _find_faults(annotation, body)
    clip = Clip(index, name, faults=faults)
    if any(code == 'no-name' for code, _ in faults):
        clip.name = f'#{index}'
    if annotation.get('label') is not None:
        clip.label = as_whole_number(annotation['label'])
        if clip.label is None or clip.label < 0:
            clip.label, clip.label_text = None, _short(annotation['label'])
    clip.subject = subject_of(annotation)
    clip.camera = _place(annotation, ('camera', 'view'), _CAMERA, name)
    clip.setup = _place(annotation, ('setup', ), _SETUP, name)
    if clip.usable:
        clip.unseen = shows_nobody(annotation)
        keypoint = annotation['keypoint']
        if 'keypoint_score' in annotation and not clip.unseen:
            keypoint = keypoint * (annotation['keypoint_score'] > 0)[..., None]
        if keypoint.any():
            with np.errstate(over='ignore', invalid='ignore'):
                clip.measures = measure(keypoint, body)
    return clip


def _find_faults(annotation: Mapping[str, Any], body: Body) -> List[ClipFault]:
    annotation = dict(annotation)
    if 'total_frames' in annotation:  # anything may stand there, an array too
        said = annotation['total_frames']
        number = as_whole_number(said)
        annotation['total_frames'] = (
            _short(said) if number is None else number)
    faults: List[ClipFault] = []
    text = clip_fault(annotation)
    if text and _code_of(text) == 'total-frames':
        faults.append(('total-frames', text))
        annotation['total_frames'] = annotation['keypoint'].shape[1]
        text = clip_fault(annotation)
    if text:
        return [*faults, (_code_of(text), text)]
    return [*faults, *_shape_faults(annotation['keypoint'].shape, body)]


def _code_of(text: str) -> str:
    return next((code for part, code in _CODES if part in text), 'unusable')


def _shape_faults(shape: Tuple[int, ...], body: Body) -> List[ClipFault]:
    faults = []
    layout = body.layout
    joints = layout.num_joints if layout else body.joints
    if shape[2] != joints:
        other = f'the layout {layout.name!r}' if layout else 'the file'
        faults.append(('joint-count',
                       f'has {shape[2]} joints, {other} has {joints}'))
    if shape[3] != body.coordinates or shape[3] not in (2, 3):
        faults.append(
            ('coordinate-count',
             f'has {shape[3]} coordinates a joint, most of the file has '
             f'{body.coordinates}, 2 or 3 are possible'))
    return faults


def _place(annotation: Mapping[str, Any], keys: Tuple[str, ...],
           pattern: 're.Pattern', name: str) -> Optional[str]:
    """The camera or setup, without leading zeros."""
    match = pattern.search(name)
    given = [annotation[key] for key in keys
             if annotation.get(key) is not None]
    if given:
        return str(given[0]).lstrip('0')
    if match is None:
        return None
    return match.group(match.lastindex or 0).lstrip('0')


def _short(value: Any) -> str:
    text = repr(value).replace('\n', ' ')
    return text if len(text) <= 40 else f'{text[:37]}...'


def group_by_code(clips: Sequence[Clip]) -> Dict[str, List[Tuple[Clip, str]]]:
    """The clips with each fault, and its text, in the order of the file."""
    groups: Dict[str, List[Tuple[Clip, str]]] = {}
    for clip in clips:
        for code, text in clip.faults:
            groups.setdefault(code, []).append((clip, text))
    return groups
