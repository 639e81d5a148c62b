# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# SkeletonMAE's fine-tuning; Nesterov and weight decay as MMAction2's GCNs.
optim_wrapper = dict(
    type='AsyncOptimWrapper',
    optimizer=dict(
        type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, milestones=[90, 100], gamma=0.1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=110, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=128)
sync_bn = 'torch'
