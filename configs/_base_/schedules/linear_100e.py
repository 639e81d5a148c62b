# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The MAE family's linear probe: 100 epochs of SGD, lr 0.1 for a batch of 256.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    constructor='TrainableParamsConstructor',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.))
param_scheduler = dict(
    type='WarmupCosineLR',
    warmup=0,
    total=100,
    eta_min_ratio=0.,
    offset=0,
    convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=100)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=256)
sync_bn = 'torch'
