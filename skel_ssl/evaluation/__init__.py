# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .evaluate import evaluate_frozen
from .feature_cache import FeatureCache
from .frozen import Settings
from .knn_metric import KNNMetric
from .predictions import load_predictions

__all__ = [
    'FeatureCache', 'KNNMetric', 'Settings', 'evaluate_frozen',
    'load_predictions'
]
