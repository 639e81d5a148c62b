# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAE in a size for small data sets.
_base_ = 'mamp_small.py'
model = dict(target=dict(type='CoordinateTarget'))
mask = dict(_delete_=True, type='RandomMask', patch_len=4, mask_ratio=0.7)
