# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/hacm_small_encoder.py',
    '../../_base_/models/finetune.py',
    '../../_base_/schedules/finetune_100e.py'
]
# Three narrow blocks need less to hold them back.
model = dict(
    backbone=dict(_base_.encoder, drop_path_rate=0.1),
    cls_head=dict(
        num_classes=_base_.classes,
        in_channels=_base_.encoder.embed_dims,
        num_joints=_base_.token_joints,
        hidden_channels=256))
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = dict(warmup=3, total=30, eta_min_ratio=0.01)
train_cfg = dict(max_epochs=30, val_interval=30)
auto_scale_lr = dict(base_batch_size=32)
