# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .cosine_error_head import CosineErrorHead
from .finetune_head import FineTuneHead
from .probe_heads import FeatureReadoutHead, LinearProbeHead
from .regression_head import RegressionHead

__all__ = [
    'CosineErrorHead', 'FeatureReadoutHead', 'FineTuneHead', 'LinearProbeHead',
    'RegressionHead'
]
