# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The MAE family's fine-tuning: layer-wise rates, 100 epochs. From scratch:
# optim_wrapper.paramwise_cfg.layer_decay_rate=1.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    constructor='LayerDecayConstructor',
    optimizer=dict(
        type='AdamW', lr=3e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        layer_decay_rate=0.8,
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys={'pos_embed': dict(decay_mult=0.)}))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=5,
    total=100,
    eta_min_ratio=1 / 30,
    offset=0,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=48)
sync_bn = 'torch'
