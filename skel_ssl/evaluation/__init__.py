# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .knn_metric import KNNMetric

__all__ = ['KNNMetric']
