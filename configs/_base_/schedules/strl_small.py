# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# As many epochs as the fine-tuning of the other encoders: 40 minutes on a CPU
# core. The rate of 128 clips, scaled to 32.
_base_ = 'strl_110e.py'
optim_wrapper = dict(optimizer=dict(lr=0.025))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, milestones=[107, 133], gamma=0.1)
]
train_cfg = dict(max_epochs=160, val_interval=160)
auto_scale_lr = dict(base_batch_size=32)
