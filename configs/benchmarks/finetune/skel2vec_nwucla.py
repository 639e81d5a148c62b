# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The network of MAMP and MAE; the rates as Skeleton2vec's public code.
_base_ = 'mamp_nwucla.py'
optim_wrapper = dict(paramwise_cfg=dict(layer_of={'backbone.norm': -2}))
param_scheduler = dict(offset=1)
