# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# 600 epochs of an 800-epoch schedule, as the evaluated checkpoints.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=4.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys={'pos_embed': dict(decay_mult=0.)}))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=20,
    total=800,
    eta_min_ratio=0.01,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=600)
auto_scale_lr = dict(enable=False, base_batch_size=128)
