# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same network without pre-training: all layers at the full rate.
_base_ = 'skel2vec_utdmhad.py'
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.))
