# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where clips to look at come from: a pickle, or a config's loader."""
import difflib
from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.datasets.checks import clip_fault, clip_name
from skel_ssl.datasets.layouts import LAYOUTS, SkeletonLayout
from skel_ssl.datasets.pickle_io import load_annotations
from skel_ssl.registry import DATASETS

from .pipeline_steps import RAW, Step, StepRecorder, take_step

PHASES = ('train', 'val', 'test')


class Clips(metaclass=ABCMeta):
    """The clips of a source, and their steps.

    Attributes:
        title (str): Name of the source, to begin names of files with.
        names (list[str]): Names of the clips.
        classes (Sequence[str]): Names of the classes, none if not known.
        joints (Sequence[str]): Names of the joints, none if not known.
        layout (SkeletonLayout, optional): The body.
    """
    title: str
    names: List[str]
    classes: Sequence[str] = ()
    joints: Sequence[str] = ()
    layout: Optional[SkeletonLayout] = None

    @abstractmethod
    def info(self, index: int) -> Dict[str, Any]:
        """The annotation of a clip."""

    @abstractmethod
    def steps(self, index: int) -> List[Step]:
        """A clip after each step."""

    def guess_layout(self) -> Optional[SkeletonLayout]:
        """The preset with as many joints as the first clip."""
        shape = np.shape(self.info(0).get('keypoint'))
        return next((x for x in LAYOUTS.values()
                     if shape[2:3] == (x.num_joints, )), None)

    def label(self, index: int) -> str:
        """Name and class of a clip."""
        label = self.info(index).get('label')
        if label is None:
            return self.names[index]
        known = np.ndim(label) == 0 and 0 <= label < len(self.classes)
        name = f' ({self.classes[label]})' if known else ''
        return f'{self.names[index]}, class {label}{name}'


class PickleClips(Clips):
    """Clips of a pickle, raw.

    Args:
        path (Path): The pickle.

    Raises:
        FileNotFoundError: See :func:`load_annotations`.
        ValueError: See :func:`load_annotations`; also if it holds no clip.
    """

    def __init__(self, path: Path) -> None:
        data = load_annotations(path)
        self.annotations = data['annotations']
        if not self.annotations:
            raise ValueError(f'{str(path)!r} holds no clip')
        self.title = path.stem
        self.names = [str(clip_name(x)) for x in self.annotations]
        self.classes = data.get('classes', ())
        self.joints = data.get('joints', ())

    def info(self, index: int) -> Dict[str, Any]:
        return self.annotations[index]

    def steps(self, index: int) -> List[Step]:
        fault = clip_fault(self.annotations[index])
        if fault is not None:
            return [Step(RAW, note=f'cannot be used: {fault}')]
        return [take_step(self.annotations[index])]


class PipelineClips(Clips):
    """Clips of a config's loader, step by step.

    Args:
        cfg (Config): The config.
        path (Path): Its file.
        phase (str): Which loader, one of :data:`PHASES`.
        seed (int): Seed of the run.
        epoch (int): Epoch of the run.

    Raises:
        ValueError: If there is no such loader, or see the dataset.
    """

    def __init__(self, cfg: Config, path: Path, phase: str, seed: int,
                 epoch: int) -> None:
        loaders = [x for x in PHASES if cfg.get(f'{x}_dataloader')]
        if phase not in loaders:
            raise ValueError(
                f'{path} has no {phase}_dataloader, only those of '
                f'{loaders}: give --phase one of these (pre-training has no '
                'evaluation loop; the configs in configs/benchmarks have)')
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        dataset = DATASETS.build(cfg[f'{phase}_dataloader'].dataset)
        self.title = f'{path.stem}_{phase}'
        self.dataset = dataset
        self.recorder = StepRecorder(dataset)
        self.numbers = seed, epoch
        self.names = [str(clip_name(self.info(i)))
                      for i in range(len(dataset))]
        self.classes = dataset.metainfo.get('classes', ())
        self.layout = getattr(dataset, 'layout', None)

    def info(self, index: int) -> Dict[str, Any]:
        return self.dataset.get_data_info(index)

    def steps(self, index: int) -> List[Step]:
        return self.recorder.record(index, *self.numbers)


def spread(total: int, number: int) -> List[int]:
    """Indices evenly spread over all, the first and the last among them."""
    places = np.linspace(0, total - 1, min(total, number))
    return places.round().astype(int).tolist()


def find_clips(wanted: Sequence[str], names: Sequence[str]) -> List[int]:
    """Indices of clips that are given by name or index.

    Raises:
        ValueError: If there is no such clip, with names that come close.
    """
    places = {name: i for i, name in reversed(list(enumerate(names)))}
    found = []
    for text in wanted:
        if text in places:
            found.append(places[text])
        elif text.isdigit() and int(text) < len(names):
            found.append(int(text))
        else:
            raise ValueError(
                f'--clips {text}: there is no such clip. Indices are 0 to '
                f'{len(names) - 1}, names are like '
                f'{nearest(text, names) or names[:3]}')
    return found


def nearest(text: str, names: Sequence[str]) -> List[str]:
    """Up to three names that come close to a text."""
    lower = {name.lower(): name for name in names}
    return [lower[x] for x in
            difflib.get_close_matches(text.lower(), lower, 3, 0.5)]
