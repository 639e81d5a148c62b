# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# SkeletonMAE's pre-training: Adam at one rate, which is not scaled with the
# batch.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(type='Adam', lr=1.5e-4))
param_scheduler = []
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50)
auto_scale_lr = dict(enable=False, base_batch_size=1024)
custom_hooks = [dict(type='CollapseMonitorHook')]
sync_bn = 'torch'
