# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""k-nearest-neighbour accuracy of features."""
from typing import Dict, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from sklearn.neighbors import KNeighborsClassifier

from skel_ssl.registry import METRICS


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
        if max(self.ks) > gallery.sum():
            raise ValueError(f'k={max(self.ks)} is larger than the gallery '
                             f'of {gallery.sum()} clips')
        return {
            f'top1_k{k}': self._accuracy(k, features, labels, gallery)
            for k in self.ks
        }

    def _accuracy(self, k: int, features: np.ndarray, labels: np.ndarray,
                  gallery: np.ndarray) -> float:
        weights = 'uniform'
        if k > 1 and self.temperature is not None:
            # Cosine distance is 1 - similarity; the constant cancels out.
            weights = lambda d: np.exp(-d / self.temperature)  # noqa: E731
        knn = KNeighborsClassifier(
            k, weights=weights, metric='cosine', algorithm='brute')
        knn.fit(features[gallery], labels[gallery])
        return float(knn.score(features[~gallery], labels[~gallery]))
