# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Minutes on a CPU: a short schedule, and a teacher that moves quickly.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=4.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys={'pos_embed': dict(decay_mult=0.)}))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=8,
    total=80,
    min_ratio=0.01,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=80)
auto_scale_lr = dict(enable=False, base_batch_size=32)
custom_hooks = [
    dict(
        type='EMATeacherHook',
        start_decay=0.99,
        end_decay=1.0,
        anneal_epochs=80)
]
