# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Skeleton2vec on NW-UCLA, cross-view: a small encoder, minutes on a CPU.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/nwucla.py',
    '_base_/models/skel2vec_small.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=4.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.,
        custom_keys={'pos_embed': dict(decay_mult=0.)}))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=10,
    total=100,
    min_ratio=0.01,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(enable=False, base_batch_size=32)
custom_hooks = [
    dict(
        type='EMATeacherHook',
        start_decay=0.99,
        end_decay=1.0,
        anneal_epochs=100)
]
# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
