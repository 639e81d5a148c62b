# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""kNN accuracy of the encoder while it is pre-trained."""
from typing import Any, Dict, Sequence

import numpy as np
import torch
from mmaction.models import ActionDataPreprocessor
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from skel_ssl.evaluation.features import describe_clips, extract_features
from skel_ssl.evaluation.neighbours import evaluate_neighbours
from skel_ssl.evaluation.probe_choice import (
    choose_groups,
    validation_folds,
)
from skel_ssl.registry import DATASETS, HOOKS

from .epochs import check_epochs
from .unnoticed import unnoticed


@HOOKS.register_module()
class OnlineKNNHook(Hook):
    """Classify held-out subjects of the training set by their neighbours.

    A glance at a running pre-training, not a protocol: it looks at labels,
    so do not choose a checkpoint or a setting by it. It never sees the test
    set: some subjects of the given (training) set are the query, the others
    the gallery. The encoder is the EMA teacher if there is one. The result is
    ``monitor/knn_k1`` on the log and in the runner's visualizer. The main
    process does the work; training is not changed by it.

    Args:
        dataset (dict): Labelled clips without augmentation, such as the
            training set with ``pipeline=_base_.val_pipeline`` and
            ``test_mode=True``.
        interval (int): Epochs between two looks; iterations if not
            ``by_epoch``.
        max_clips (int): How many clips to use, evenly spaced.
        ks (Sequence[int]): Numbers of neighbours.
        readout (str): See :func:`pool_tokens`.
        batch_size (int): Clips in a batch.
        by_epoch (bool): See ``interval``.

    Raises:
        ValueError: If an argument is below 1; before training, if k is
            larger than the gallery, or epochs are to be counted in a loop of
            iterations.
    """

    def __init__(self,
                 dataset: dict,
                 interval: int = 10,
                 max_clips: int = 2000,
                 ks: Sequence[int] = (1, ),
                 readout: str = 'mean',
                 batch_size: int = 64,
                 by_epoch: bool = True) -> None:
        for name, value in (('interval', interval), ('max_clips', max_clips),
                            ('batch_size', batch_size)):
            if value < 1:
                raise ValueError(f'{name}={value} must be 1 or more')
        self.dataset_cfg = dataset
        self.interval = interval
        self.max_clips = max_clips
        self.ks = tuple(ks)
        self.readout = readout
        self.batch_size = batch_size
        self.by_epoch = by_epoch

    def before_train(self, runner: Runner) -> None:
        if self.by_epoch:
            check_epochs(self, runner)
        if not is_main_process():
            return
        dataset = DATASETS.build(self.dataset_cfg)
        if len(dataset) > self.max_clips:
            places = np.linspace(0, len(dataset) - 1, self.max_clips)
            dataset.get_subset_(places.round().astype(int).tolist())
        self.dataset = dataset
        about = describe_clips(dataset)
        self.by, groups = choose_groups(about['subjects'],
                                        about['recordings'])
        # One fold of five: a fifth of the subjects is the query.
        self.split = validation_folds(about['labels'], groups)[0]
        if max(self.ks) > len(self.split.fit):
            raise ValueError(f'k={max(self.ks)} is larger than the gallery '
                             f'of {len(self.split.fit)} clips')
        self.preprocessor = ActionDataPreprocessor().to(
            next(runner.model.parameters()).device)

    def after_train_epoch(self, runner: Runner) -> None:
        if self.by_epoch and self.every_n_epochs(runner, self.interval):
            self._look(runner)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if not self.by_epoch and self.every_n_train_iters(
                runner, self.interval):
            self._look(runner)

    def _look(self, runner: Runner) -> None:
        if not is_main_process():
            return
        found = {
            f'monitor/{name}': value
            for name, value in self._measure(runner).items()
        }
        shown = ', '.join(f'{k}: {v:.3f}' for k, v in found.items())
        runner.logger.info(
            f'{shown} (held-out {self.by}s of the training set)')
        runner.visualizer.add_scalars(found, step=runner.iter)

    def _measure(self, runner: Runner) -> Dict[str, float]:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        teacher = getattr(model, 'teacher', None)
        encoder = model.backbone if teacher is None else teacher.module
        with unnoticed(encoder, seed=0):
            clips = extract_features(
                self.dataset,
                encoder,
                self.preprocessor, [self.readout],
                batch_size=self.batch_size)[self.readout]
        x, y = torch.from_numpy(clips.features), torch.from_numpy(clips.labels)
        fit, query = self.split.fit, self.split.held_out
        return evaluate_neighbours(
            x[fit], y[fit], x[query], y[query], ks=self.ks, retrieval=False)
