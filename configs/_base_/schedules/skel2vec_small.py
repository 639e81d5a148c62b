# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Minutes on a CPU: a short schedule, and a teacher that moves quickly.
_base_ = 'skel2vec_800e.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(warmup=8, total=100)
train_cfg = dict(max_epochs=100)
auto_scale_lr = dict(base_batch_size=32)
custom_hooks = [
    dict(
        type='EMATeacherHook',
        start_decay=0.99,
        end_decay=1.0,
        anneal_epochs=100),
    dict(type='CollapseMonitorHook')
]
