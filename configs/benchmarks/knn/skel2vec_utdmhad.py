# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = [
    '../../_base_/default_runtime.py', '../../_base_/datasets/utdmhad.py',
    '../../_base_/models/small_encoder.py',
    '../../_base_/models/frozen_feature.py'
]
model = dict(backbone=_base_.encoder)
test_dataloader = dict(
    dataset=dict(split=['xsub_train', 'xsub_val']))
test_evaluator = dict(
    _delete_=True, type='KNNMetric', gallery_split='xsub_train')
test_cfg = dict(type='TestLoop')
# Nothing is trained.
train_dataloader = val_dataloader = val_evaluator = None
