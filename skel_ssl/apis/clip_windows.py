# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Long recordings, window by window."""
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from mmengine.dataset import Compose

from .clip_pipeline import run_pipeline
from .inputs import Clip, seen_persons

Span = Tuple[int, int]


@dataclass
class ClipJob:
    """A clip and its windows.

    Args:
        clip (dict): The clip, see :meth:`ClipReader.read`.
        spans (list[tuple[int, int]]): Its windows, see :func:`find_windows`.
        found (dict): What was predicted, by number of the window; None where
            nobody is seen.
    """
    clip: Clip
    spans: List[Span]
    found: Dict[int, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether nothing is left to be predicted."""
        return len(self.found) == len(self.spans)


def find_windows(num_frames: int,
                 window: Optional[int] = None,
                 stride: Optional[int] = None) -> List[Span]:
    """Cut a recording into windows that cover all of it.

    They begin at 0, ``stride``, 2 ``stride`` and so on. If frames are left at
    the end, the last window is moved back so that it ends with the recording.
    A recording that is no longer than a window is one.

    Args:
        num_frames (int): Frames of the recording, 1 or more.
        window (int, optional): Frames of a window. None: all.
        stride (int, optional): Frames from one begin to the next, at most
            ``window``. None: ``window``, so windows do not overlap.

    Returns:
        list[tuple[int, int]]: First frame, and the one after the last.

    Raises:
        ValueError: If a number is out of range.
    """
    if window is None:
        if stride is not None:
            raise ValueError(f'stride={stride} goes with window')
        return [(0, num_frames)]
    stride = window if stride is None else stride
    if window < 1 or not 1 <= stride <= window:
        raise ValueError(
            f'window={window} and stride={stride}: a window has 1 frame or '
            'more, and the stride is from 1 to window, so that no frame is '
            'left out')
    if num_frames <= window:
        return [(0, num_frames)]
    starts = list(range(0, num_frames - window + 1, stride))
    if starts[-1] + window < num_frames:
        starts.append(num_frames - window)
    return [(start, start + window) for start in starts]


def cut_clip(clip: Clip, span: Span) -> Optional[Clip]:
    """The frames of a window, without the persons absent from all of them.

    Args:
        clip (dict): See :meth:`ClipReader.read`.
        span (tuple[int, int]): First frame, and the one after the last.

    Returns:
        dict, optional: The same clip for the whole span; None if nobody is
        seen.
    """
    start, end = span
    if (start, end) == (0, clip['total_frames']):
        return clip
    there = seen_persons(clip, slice(start, end))
    if not there.any():
        return None
    piece = dict(clip, total_frames=end - start)
    for key in ('keypoint', 'keypoint_score'):
        if key in clip:
            piece[key] = clip[key][there, start:end]
    return piece


def make_pieces(pipeline: Compose, clips: Iterable[Clip],
                window: Optional[int], stride: Optional[int],
                jobs: Deque[ClipJob]
                ) -> Iterator[Tuple[ClipJob, int, Dict[str, Any]]]:
    """The windows of all clips in which somebody is seen, for the model.

    Args:
        pipeline (Compose): See :func:`run_pipeline`.
        clips (Iterable[dict]): See :meth:`ClipReader.read`.
        window (int, optional): See :func:`find_windows`.
        stride (int, optional): See :func:`find_windows`.
        jobs (deque): Gets a job for each clip.

    Yields:
        tuple: The job, the number of the window, and what goes into a batch.
    """
    for clip in clips:
        spans = find_windows(clip['total_frames'], window, stride)
        job = ClipJob(clip, spans)
        jobs.append(job)
        for k, span in enumerate(spans):
            piece = cut_clip(clip, span)
            if piece is None:
                job.found[k] = None
            else:
                yield job, k, run_pipeline(pipeline, piece)


def describe_window(span: Span, fps: Optional[float]) -> Dict[str, float]:
    """First and last frame of a window, and its time if fps is known.

    Args:
        span (tuple[int, int]): First frame, and the one after the last.
        fps (float, optional): Frames a second.

    Returns:
        dict: ``start_frame`` and ``end_frame``, which is not in it any more;
        ``start_second`` and ``end_second``.
    """
    found: Dict[str, float] = dict(start_frame=span[0], end_frame=span[1])
    if fps is not None:
        found.update(start_second=span[0] / fps, end_second=span[1] / fps)
    return found
