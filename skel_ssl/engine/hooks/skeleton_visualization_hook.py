# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures of clips while a model is trained or tested."""
import re
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from skel_ssl.datasets.checks import clip_name
from skel_ssl.datasets.person_batches.dataset import BatchDataset
from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import DATASETS, HOOKS
from skel_ssl.visualization.model_clips import (
    body_view,
    class_names,
    predict,
    read_clips,
)
from skel_ssl.visualization.samples import annotate
from skel_ssl.visualization.skeleton_visualizer import (
    SkeletonVisualizer,
    check_picture,
)

from .epochs import check_epochs
from .unnoticed import unnoticed


@HOOKS.register_module()
class SkeletonVisualizationHook(Hook):
    """Draw a few clips with what the model makes of them.

    In training: the same clips with the same masks each time, so that
    pictures of one run can be laid side by side; of a pre-training its masks,
    reconstructions and errors, of a recognizer its prediction. In testing
    (``test_interval``): every so many clips with the true and the predicted
    class.

    The main process does the work; training is not changed by it. Pictures
    go to the backends of the runner's visualizer, whatever its type, or into
    ``out_dir``.

    Args:
        interval (int): Epochs between two pictures in training; iterations
            if not ``by_epoch``. 0 = none.
        by_epoch (bool): See ``interval``.
        num_clips (int): How many clips, evenly spread over the dataset.
        dataset (dict, optional): Config of the clips; None = the training
            set.
        seed (int): Of augmentation and masks.
        test_interval (int): Clips between two pictures in testing. 0 = none.
        out_dir (str, optional): Folder for the pictures instead of the
            visualizer's backends.
        suffix (str): ``'.png'``, and with ``out_dir`` also ``'.gif'`` or
            ``'.mp4'``.
        view (str): From where to look at 3D poses, see :class:`BodyView`.
        num_poses (int): Moments in a row of a PNG.

    Raises:
        ValueError: If an argument is out of range, there are not enough
            clips, pictures of this kind cannot be written, or epochs are to
            be counted in a loop of iterations.
    """
    # After the teacher has moved, before a checkpoint is saved.
    priority = 'LOW'

    def __init__(self,
                 interval: int = 10,
                 by_epoch: bool = True,
                 num_clips: int = 2,
                 dataset: Optional[dict] = None,
                 seed: int = 0,
                 test_interval: int = 0,
                 out_dir: Optional[str] = None,
                 suffix: str = '.png',
                 view: str = 'front',
                 num_poses: int = 8) -> None:
        given = dict(
            interval=(interval, 0),
            num_clips=(num_clips, 1),
            seed=(seed, 0),
            test_interval=(test_interval, 0),
            num_poses=(num_poses, 1))
        for name, (value, least) in given.items():
            if value < least:
                raise ValueError(f'{name}={value} is less than {least}')
        check_picture(Path(f'picture{suffix}'))
        if suffix != '.png' and out_dir is None:
            raise ValueError(f"suffix={suffix!r} goes with out_dir: the "
                             "visualizer's backends take still pictures")
        self.interval = interval
        self.by_epoch = by_epoch
        self.num_clips = num_clips
        self.dataset_cfg = dataset
        self.seed = seed
        self.test_interval = test_interval
        self.out_dir = out_dir
        self.suffix = suffix
        self.view = view
        self.num_poses = num_poses

    def before_train(self, runner: Runner) -> None:
        if self.interval and self.by_epoch:
            check_epochs(self, runner)
        if not self.interval or not is_main_process():
            return
        loader = runner.train_dataloader
        dataset = loader.dataset
        if self.dataset_cfg is not None:
            dataset = DATASETS.build(self.dataset_cfg)
        elif isinstance(dataset, BatchDataset):
            raise ValueError(
                'SkeletonVisualizationHook draws clips, and the training set '
                "makes whole batches: give it dataset=dict(type="
                "'SkeletonDataset', ...) with a pipeline of its own")
        if self.num_clips > len(dataset):
            raise ValueError(
                f'SkeletonVisualizationHook cannot take num_clips='
                f'{self.num_clips} of a dataset of {len(dataset)}')
        self._dataset = dataset
        places = np.linspace(0, len(dataset) - 1, self.num_clips)
        self._indices = places.round().astype(int).tolist()
        self._prepare(runner, dataset)

    def after_train_epoch(self, runner: Runner) -> None:
        if self.by_epoch and self.interval and self.every_n_epochs(
                runner, self.interval):
            self._draw(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if not self.by_epoch and self.interval and self.every_n_train_iters(
                runner, self.interval):
            self._draw(runner, runner.iter + 1)

    def before_test(self, runner: Runner) -> None:
        if self.test_interval and is_main_process():
            self._prepare(runner, runner.test_dataloader.dataset)
            self._tested = 0

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Sequence[BaseDataElement] = ()) -> None:
        if not self.test_interval or not is_main_process():
            return
        model = _unwrapped(runner)
        clips = data_batch['inputs']
        if isinstance(model, MaskedSkeletonModel):
            annotate(model, clips, outputs)
        for clip, sample in zip(clips, outputs):
            if self._tested % self.test_interval == 0:
                self._add(f'{self._tested:05}_{_name(sample)}', clip, sample)
            self._tested += 1

    def _prepare(self, runner: Runner, dataset: Any) -> None:
        self._visualizer = SkeletonVisualizer(
            num_poses=self.num_poses,
            vis_backends=list(runner.visualizer._vis_backends.values()))
        self._visualizer.body_view = body_view(dataset, view=self.view)
        self._visualizer.dataset_meta = dict(classes=class_names(dataset))

    def _draw(self, runner: Runner, step: int) -> None:
        """Draw the chosen clips; the training does not notice."""
        if not is_main_process():
            return
        model = _unwrapped(runner)
        with unnoticed(model, self.seed):
            batch = read_clips(self._dataset, self._indices, self.seed,
                               runner.train_dataloader.collate_fn)
            samples = predict(model, batch)
            for clip, sample in zip(batch['inputs'], samples):
                self._add(f'train_{_name(sample)}', clip, sample, step)

    def _add(self, name: str, clip: torch.Tensor, sample: BaseDataElement,
             step: int = 0) -> None:
        path = None
        name = re.sub(r'[^\w.-]', '_', name)
        if self.out_dir is not None:
            ending = f'_{step}' if step else ''
            path = Path(self.out_dir) / f'{name}{ending}{self.suffix}'
        self._visualizer.add_datasample(
            name, clip.cpu(), sample.cpu(), out_file=path, step=step)


def _name(sample: BaseDataElement) -> str:
    return str(clip_name(dict(sample.all_items())))


def _unwrapped(runner: Runner) -> nn.Module:
    model = runner.model
    return model.module if is_model_wrapper(model) else model
