# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAMP's pre-training, which MAE and HA-CM share: the rate falls by half only.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0.))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=20,
    total=400,
    eta_min_ratio=0.5,
    offset=0,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=400)
auto_scale_lr = dict(enable=False, base_batch_size=128)
custom_hooks = [dict(type='CollapseMonitorHook')]
