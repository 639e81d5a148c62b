# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""All ranks must train on the same labels."""
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from skel_ssl.registry import HOOKS


@HOOKS.register_module()
class SameDataHook(Hook):
    """Compare the ``metainfo`` of the training set across ranks.

    For few-label subsets: in public code each rank draws its own, so that on
    two GPUs "1 %" of the labels is 2 %. Here the choice does not depend on
    the rank, but files on different machines can differ; the hash of the
    names (``SkeletonDataset(few_labels=...)``) is in the ``metainfo``.

    Raises:
        ValueError: Before training, if the ranks differ.
    """

    def before_train(self, runner: Runner) -> None:
        if get_world_size() == 1:
            return
        found = [None] * get_world_size()
        dist.all_gather_object(found, runner.train_dataloader.dataset.metainfo)
        for rank, other in enumerate(found):
            if other != found[0]:
                raise ValueError(
                    f'rank {rank} trains on other data than rank 0: {other} '
                    f'against {found[0]}. Give both machines the same '
                    f'annotation file')
