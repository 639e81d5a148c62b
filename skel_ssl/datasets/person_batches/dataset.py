# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Data sets that make whole batches."""
import copy
from abc import ABCMeta, abstractmethod
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from skel_ssl.registry import DATASETS

from ..seeded_sampler import SeededIndex
from ..skeleton_dataset import SkeletonDataset, check_finite
from .frames import RaggedPersons
from .pipeline import BatchPipeline

Batch = Dict[str, Any]


class BatchDataset(Dataset, metaclass=ABCMeta):
    """The clips of a :class:`SkeletonDataset`, made batch by batch.

    All persons that are there are held in memory, and the fetcher of torch's
    ``DataLoader`` asks for a batch at a time, which :class:`BatchPipeline`
    makes from the pipeline of the data set. It is finished:
    ``collate_fn=dict(type='skel_ssl.datasets.finished_batch')``, and the data
    preprocessor only moves it.

    The batch of some indices and seeds is the same for any number of workers
    and ranks, and on any device but for rounding. Workers do not copy the
    frames: forked ones see the pages of the main process, and torch puts
    tensors that it sends to spawned ones into shared memory.

    Args:
        dataset (dict | SkeletonDataset): The clips, with the pipeline of
            training. It is not kept.
        device (str | torch.device, optional): Where the frames are, and
            batches are made. None: in host memory. ``'cuda'``: on the current
            GPU, with ``num_workers=0``.
        batch_size (int, optional): If given, it is an error if a rank's share
            of the samples is less: with ``drop_last=True`` an epoch would have
            no batch.
        lazy_init (bool): Whether to read the clips later, by
            :meth:`full_init`.

    Attributes:
        samples (str): What a sample is, for messages.

    Raises:
        ValueError: If the pipeline has no batch form, see
            :class:`BatchPipeline`, the clips do not suit it, or there are too
            few samples.
        TypeError: If the data set is of another class.
    """
    samples: str

    def __init__(self,
                 dataset: Union[dict, SkeletonDataset],
                 device: Optional[Union[str, torch.device]] = None,
                 batch_size: Optional[int] = None,
                 lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not isinstance(dataset, SkeletonDataset):
            raise TypeError(f'{type(self).__name__} takes its clips from a '
                            f'SkeletonDataset, not {type(dataset).__name__}')
        self.pipeline = BatchPipeline(dataset.pipeline.transforms)
        self._check_pipeline()
        self.device = torch.device(device or 'cpu')
        self.batch_size = batch_size
        self._clips: Optional[SkeletonDataset] = dataset
        self._metainfo: Dict[str, Any] = {}
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> Dict[str, Any]:
        """That of the clips, a copy."""
        if self._clips is not None:
            return self._clips.metainfo
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Read the clips, unless it is done."""
        if self._clips is None:
            return
        clips = self._clips
        clips.full_init()
        console = Console(stderr=True)
        places = track(
            range(len(clips)),
            description='reading persons',
            console=console,
            transient=True,
            disable=not (is_main_process() and console.is_terminal))
        read = (self._read(clips, i) for i in places)
        self.persons = RaggedPersons.read(read).to(self.device)
        self._metainfo = clips.metainfo
        self._clips = None
        frames = self.persons.frames
        print_log(
            f'{len(self.persons)} persons of {len(self.persons.names)} clips, '
            f'{len(frames)} frames: {frames.nbytes / 2**20:.1f} MiB on '
            f'{frames.device}',
            logger='current')
        self._prepare()
        share = -(-len(self) // get_world_size())
        if self.batch_size is not None and share < self.batch_size:
            raise ValueError(
                f'{share} {self.samples} (of {len(self)} on '
                f'{get_world_size()} ranks) do not fill a batch of '
                f'{self.batch_size}: set train_dataloader.batch_size to '
                f'{share} or less')

    def _read(self, clips: SkeletonDataset, idx: int) -> Dict[str, Any]:
        with clips.naming_the_clip(idx):
            clip = self.pipeline.prepare(clips.get_data_info(idx))
            check_finite(clip['keypoint'])
        return clip

    def _check_pipeline(self) -> None:
        """Called before the clips are read, which takes a while."""

    def _prepare(self) -> None:
        """Called when the persons have been read."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """What a sample is."""

    @abstractmethod
    def _make(self, indices: Tensor, seeds: Tensor) -> Batch:
        """Make a batch of samples, ``(n,)`` int64 each, in host memory."""

    def __getitem__(self, idx: SeededIndex) -> Batch:
        """A batch of one sample, see :meth:`__getitems__`."""
        return self.__getitems__([idx])

    def __getitems__(self, indices: Sequence[SeededIndex]) -> Batch:
        """Make a batch.

        Args:
            indices (Sequence[SeededIndex]): The samples and their seeds.

        Returns:
            dict: On the data set's device.

        Raises:
            ValueError: If an index brings no seed.
            RuntimeError: If a worker asks and the frames are not in host
                memory.
        """
        self.full_init()
        if self.device.type != 'cpu' and get_worker_info() is not None:
            raise RuntimeError(
                f'the persons are on the device {self.device}, where workers '
                'cannot make batches: set train_dataloader.num_workers=0, '
                'or keep them in host memory with device=None')
        plain = [i for i in indices if not isinstance(i, SeededIndex)]
        if plain:
            raise ValueError(
                f'index {plain[0]} brings no seed: a {type(self).__name__} '
                "needs sampler=dict(type='SeededSampler', shuffle=True)")
        return self._make(
            torch.tensor([int(i) for i in indices]),
            torch.tensor([i.seed for i in indices]))

    def _send(self, *numbers: Tensor) -> List[Tensor]:
        """Move numbers to the device, in one go and without waiting."""
        return list(
            torch.stack(numbers).to(self.device, non_blocking=True))


def finished_batch(data: Union[Batch, List[Batch]]) -> Batch:
    """The ``collate_fn`` for batches that a data set has finished.

    Args:
        data (dict | list[dict]): The batch; or several of a
            :class:`BatchDataset`, which are joined.

    Returns:
        dict: The batch.
    """
    if isinstance(data, dict):
        return data
    joined = {}
    for key, value in data[0].items():
        values = [batch[key] for batch in data]
        joined[key] = torch.cat(values) if torch.is_tensor(value) else type(
            value)(*map(torch.cat, zip(*values)))
    return joined
