# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Supervised from random weights; the data as for the pre-trained encoders.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/stgcnpp_small.py',
    '../../_base_/schedules/stgcnpp_small.py'
]
model = dict(cls_head=dict(num_classes=_base_.classes))
# About as many steps as on NW-UCLA, of fewer clips.
_base_.param_scheduler[0].update(T_max=360)
train_cfg = dict(max_epochs=360, val_interval=360)
