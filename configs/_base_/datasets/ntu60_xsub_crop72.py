# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same with the window of HA-CM.
_base_ = 'ntu60_xsub_crop120.py'
for part in ('train', 'val', 'test'):
    for transform in _base_[f'{part}_dataloader'].dataset.pipeline:
        if transform.type == 'PoseTemporalCropResize':
            transform.clip_len = 72
del part, transform
