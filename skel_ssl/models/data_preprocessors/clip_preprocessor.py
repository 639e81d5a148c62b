# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Batches of labelled clips that are already made."""
from typing import Any, Dict

from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.structures import ActionDataSample
from torch import Tensor

from skel_ssl.registry import MODELS


@MODELS.register_module()
class ClipDataPreprocessor(ActionDataPreprocessor):
    """MMAction2's preprocessor, which takes a ``ClipDataset``'s batches, too.

    Such a batch is moved as it is, two tensors; the labels become data samples
    on the device. All else, the batches of a validation for example, is done
    by ``ActionDataPreprocessor``, whose arguments these are.
    """

    def forward(self, data: Any, training: bool = False) -> Any:
        """Move and prepare a batch.

        Args:
            data (dict | tuple): ``inputs (N, 1, M, T, V, C)`` and ``labels
                (N,)``; or what ``ActionDataPreprocessor`` takes.
            training (bool): Whether to blend samples, if there is a
                ``blending``.

        Returns:
            dict | tuple: ``inputs``, and ``data_samples`` with ``gt_label``.
        """
        if not (isinstance(data, dict) and isinstance(
                data.get('labels'), Tensor)):
            return super().forward(data, training)
        moved: Dict[str, Any] = self.cast_data(data)
        samples = [ActionDataSample().set_gt_label(label)
                   for label in moved['labels'][:, None]]
        inputs, samples = self.preprocess(
            list(moved['inputs']), samples, training)
        return dict(inputs=inputs, data_samples=samples)
