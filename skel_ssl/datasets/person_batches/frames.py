# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""All persons of a data set in one array."""
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List

import numpy as np
import torch
from torch import Tensor

from skel_ssl.models.ops.persons import present_persons

from ..checks import clip_name


@dataclass(frozen=True)
class RaggedPersons:
    """N persons with R frames in all, one after the other.

    Persons that are absent (all zero), or a copy of their clip's person 0,
    are not among them, see
    :func:`~skel_ssl.models.ops.persons.present_persons`.

    Attributes:
        frames (Tensor): ``(R, V, C)`` float32.
        start (Tensor): ``(N,)`` int64, the first frame of each person.
        length (Tensor): ``(N,)`` int64, how many there are.
        clip (np.ndarray): ``(N,)``, the clip of each person.
        slot (np.ndarray): ``(N,)``, its place among the persons of it.
        names (np.ndarray): The names of the clips.
        labels (np.ndarray): Their classes, -1 where there is none.
    """
    frames: Tensor
    start: Tensor
    length: Tensor
    clip: np.ndarray
    slot: np.ndarray
    names: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)

    @classmethod
    def read(cls, clips: Iterable[Dict[str, Any]]) -> 'RaggedPersons':
        """Take the persons out of clips.

        Args:
            clips (Iterable[dict]): ``keypoint`` of shape (M, T, V, C), T >= 1,
                each with the same V and C; a name (see :func:`clip_name`);
                ``label`` if it has one.

        Raises:
            ValueError: If there is no person, or joints or coordinates
                differ in number.
        """
        parts: List[np.ndarray] = []
        where, names, labels = [], [], []
        for number, clip in enumerate(clips):
            keypoint = np.ascontiguousarray(clip['keypoint'])
            name = str(clip_name(clip))
            if parts and keypoint.shape[2:] != parts[0].shape[1:]:
                raise ValueError(
                    f'clip {name!r} has {keypoint.shape[2:]} joints and '
                    f'coordinates, the first one {parts[0].shape[1:]}: give '
                    'the data set the layout= of its bodies')
            there = present_persons(torch.from_numpy(keypoint)).nonzero()
            for slot in there[:, 0].tolist():
                parts.append(keypoint[slot].astype(np.float32))
                where.append((number, slot))
            names.append(name)
            labels.append(clip.get('label', -1))
        if not parts:
            raise ValueError(f'there is nobody in the {len(names)} clips')
        lengths = torch.tensor([len(part) for part in parts])
        stops = lengths.cumsum(0)
        frames = torch.empty(int(stops[-1]), *parts[0].shape[1:])
        parts.reverse()  # each is let go of when it has its place
        for stop, count in zip(stops.tolist(), lengths.tolist()):
            frames[stop - count:stop] = torch.from_numpy(parts.pop())
        clip, slot = np.array(where).T
        return cls(frames, stops - lengths, lengths, clip, slot,
                   np.array(names), np.array(labels))

    def to(self, device: torch.device) -> 'RaggedPersons':
        """The same with the tensors on a device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ('frames', 'start', 'length')
        }
        return replace(self, **moved)
