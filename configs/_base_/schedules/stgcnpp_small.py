# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A few minutes on a CPU. SGD as for SkeletonMAE's recognizer; the rate falls
# along a cosine, as in MMAction2's own configs.
_base_ = 'strl_small.py'
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        T_max=30,
        by_epoch=True,
        convert_to_iter_based=True)
]
