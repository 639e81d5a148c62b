# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/demo.py',
    '../../_base_/models/strl_ntu25.py', '../../_base_/schedules/strl_small.py'
]
model = dict(
    backbone=dict(num_frames=32), cls_head=dict(num_classes=_base_.classes))
# A few minutes on a CPU.
_base_.param_scheduler[1].update(milestones=[20, 25])
train_cfg = dict(max_epochs=30, val_interval=30)
