# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# As Skeleton2vec's public code: the rate is set after counting the step, and
# the final norm learns like the last block.
_base_ = 'finetune_100e.py'
optim_wrapper = dict(paramwise_cfg=dict(layer_of={'backbone.norm': -2}))
param_scheduler = dict(offset=1)
