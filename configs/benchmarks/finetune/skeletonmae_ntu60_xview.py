# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/ntu60_2d_xview.py',
    '../../_base_/models/strl.py', '../../_base_/schedules/strl_110e.py'
]
model = dict(cls_head=dict(num_classes=_base_.classes))
