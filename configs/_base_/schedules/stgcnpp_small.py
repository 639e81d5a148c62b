# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# As many epochs as the fine-tuning of the encoders: an hour on one CPU core.
# SGD as for SkeletonMAE's recognizer; the rate falls along a cosine, as in
# MMAction2's own configs.
_base_ = 'strl_small.py'
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        T_max=160,
        by_epoch=True,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=160, val_interval=160)
