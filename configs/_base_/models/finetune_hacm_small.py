# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# As finetune_small.py, with HA-CM's encoder.
_base_ = ['hacm_small_encoder.py', 'finetune.py']
model = dict(
    backbone=dict(_base_.encoder, drop_path_rate=0.1, token_drop_rate=0.4),
    cls_head=dict(
        in_channels=_base_.encoder.embed_dims,
        num_joints=_base_.token_joints,
        hidden_channels=256))
