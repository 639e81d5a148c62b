# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""k-nearest-neighbour accuracy of features."""
from typing import Dict, Optional, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from skel_ssl.registry import METRICS

from .neighbours import evaluate_neighbours


@METRICS.register_module()
class KNNMetric(BaseMetric):
    """Classify each test clip by its nearest training clips (cosine).

    The test data set lists gallery and query, for example
    ``SkeletonDataset(split=['xsub_train', 'xsub_val'])``, and the model puts
    a ``feature`` into the data samples (``FeatureReadoutHead``). Clips of the
    gallery split are looked up, all others are classified.

    Args:
        gallery_split (str): Split that the neighbours come from. The
            samples carry their split's name in their meta information.
        ks (Sequence[int]): Numbers of neighbours.
        temperature (float, optional): For k > 1, neighbours vote with
            ``exp(similarity / temperature)``; None = plain majority.
        collect_device (str): Where results of ranks are collected.
        prefix (str): Prefix of the metric names.

    Raises:
        ValueError: If k is larger than the gallery, or gallery or query are
            empty.
    """
    default_prefix = 'knn'

    def __init__(self,
                 gallery_split: str,
                 ks: Sequence[int] = (1, 20),
                 temperature: Optional[float] = 0.07,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device, prefix)
        self.gallery_split = gallery_split
        self.ks = tuple(ks)
        self.temperature = temperature

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep feature, label and split of a batch."""
        for sample in data_samples:
            self.results.append(
                dict(
                    feature=sample['feature'].float().cpu().numpy(),
                    label=int(sample['gt_label']),
                    gallery=sample['split'] == self.gallery_split))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Accuracy (0 to 1) for each k."""
        features = np.stack([r['feature'] for r in results])
        labels = np.array([r['label'] for r in results])
        gallery = np.array([r['gallery'] for r in results])
        if gallery.all() or not gallery.any():
            raise ValueError(
                f'{gallery.sum()} of {len(gallery)} clips are of the gallery '
                f'split {self.gallery_split!r}: give the test data set both '
                "splits, such as split=['xsub_train', 'xsub_val'], and "
                "'split' in meta_keys of PackActionInputs")
        x, y = torch.from_numpy(features), torch.from_numpy(labels)
        known = torch.from_numpy(gallery)
        found = evaluate_neighbours(
            x[known],
            y[known],
            x[~known],
            y[~known],
            ks=self.ks,
            temperature=self.temperature,
            retrieval=False)
        return {f'top1_k{k}': found[f'knn_k{k}'] for k in self.ks}
