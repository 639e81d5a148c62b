# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What can be wrong with a clip, found before it costs a night."""
import operator
import reprlib
from typing import Any, Iterable, List, Mapping, Optional, Tuple

import numpy as np

Fault = Tuple[str, str]


def clip_name(annotation: Mapping[str, Any]) -> str:
    """The name by which a split refers to a clip.

    Args:
        annotation (Mapping): An annotation of an MMAction2 pose pickle.
    """
    for key in ('filename', 'frame_dir'):
        if key in annotation:
            return annotation[key]
    return '<no name>'


def as_whole_number(value: Any) -> Optional[int]:
    """A whole number of any kind as an int; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def label_fault(annotation: Mapping[str, Any]) -> Optional[str]:
    """Say why a clip has no class.

    Args:
        annotation (Mapping): See :func:`clip_fault`.

    Returns:
        str, optional: The fault, None if its label is a class.
    """
    label = annotation.get('label')
    if label is None:
        return "has no 'label'"
    number = as_whole_number(label)
    if number is None or number < 0:
        return (f"has 'label' {reprlib.repr(label)}, not a whole number of 0 "
                'or more')
    return None


def clip_fault(annotation: Mapping[str, Any],
               num_joints: Optional[int] = None,
               max_persons: Optional[int] = None,
               require_label: bool = False) -> Optional[str]:
    """Say what is wrong with one clip.

    Args:
        annotation (Mapping): An annotation of an MMAction2 pose pickle, with
            ``keypoint`` of shape ``(M, T, V, C)``, and
            ``keypoint_score`` of shape ``(M, T, V)`` if it has scores.
        num_joints (int, optional): V as it must be. None: not checked.
        max_persons (int, optional): The largest allowed M. None: any.
        require_label (bool): Whether a clip without a class is at fault,
            see :func:`label_fault`.

    Returns:
        str, optional: The first fault, None for a sound clip.
    """
    if 'filename' not in annotation and 'frame_dir' not in annotation:
        return "has no 'frame_dir', so no split can name it"
    if 'keypoint' not in annotation:
        return "has no 'keypoint'"
    keypoint = annotation['keypoint']
    if not _is_numeric(keypoint):
        return _not_numbers('keypoint', keypoint)
    if keypoint.ndim != 4:
        return (f"'keypoint' has shape {keypoint.shape}, not (persons, "
                'frames, joints, coordinates)')
    persons, frames, joints, _ = keypoint.shape
    if frames == 0:
        return 'has no frames'
    if num_joints is not None and joints != num_joints:
        return f'has {joints} joints, the layout has {num_joints}'
    if max_persons is not None and persons > max_persons:
        return f'has {persons} persons, at most {max_persons} are allowed'
    if annotation.get('total_frames') != frames:
        said = annotation.get('total_frames', 'missing')
        return f"'total_frames' is {said}, 'keypoint' has {frames} frames"
    fault = label_fault(annotation) if require_label else None
    if fault is None:
        fault = _first_bad(keypoint, np.isfinite(keypoint), 'not finite')
    if fault is None and not keypoint.any():
        fault = 'holds nobody: every coordinate is zero'
    if fault is None and 'keypoint_score' in annotation:
        fault = _score_fault(annotation['keypoint_score'], keypoint.shape[:3])
    return fault


def _is_numeric(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in 'fiu'


def _not_numbers(key: str, values: Any) -> str:
    kind = getattr(values, 'dtype', type(values))
    return f'{key!r} is not an array of real numbers but {kind}'


def _first_bad(values: np.ndarray, good: np.ndarray,
               what: str) -> Optional[str]:
    if good.all():
        return None
    at = tuple(np.argwhere(~good)[0])
    person, frame, joint = at[:3]
    return (f'{good.size - good.sum()} value(s) are {what}, the first is '
            f'{values[at]} at person {person}, frame {frame}, joint {joint}')


def _score_fault(scores: Any, shape: Tuple[int, ...]) -> Optional[str]:
    if not _is_numeric(scores):
        return _not_numbers('keypoint_score', scores)
    if scores.shape != shape:
        return (f"'keypoint_score' has shape {scores.shape}, 'keypoint' asks "
                f'for {shape}')
    good = np.isfinite(scores) & (scores >= 0)
    fault = _first_bad(scores, good, 'not finite numbers of 0 or more')
    return fault and f"'keypoint_score': {fault}"


def find_faults(annotations: Iterable[Mapping[str, Any]],
                num_joints: Optional[int] = None,
                max_persons: Optional[int] = None,
                require_label: bool = False) -> List[Fault]:
    """Find the clips that would break, or silently spoil, a run.

    Args:
        annotations (Iterable[Mapping]): The clips.
        num_joints (int, optional): See :func:`clip_fault`.
        max_persons (int, optional): See :func:`clip_fault`.
        require_label (bool): See :func:`clip_fault`.

    Returns:
        list[tuple[str, str]]: ``(clip name, fault)`` of each faulty clip, in
        the order of the clips.
    """
    faults = ((clip_name(x),
               clip_fault(x, num_joints, max_persons, require_label))
              for x in annotations)
    return [(name, fault) for name, fault in faults if fault is not None]


def shows_nobody(annotation: Mapping[str, Any]) -> bool:
    """Whether a sound clip has scores and all of them are zero.

    Args:
        annotation (Mapping): See :func:`clip_fault`.
    """
    return not np.any(annotation.get('keypoint_score', 1))
