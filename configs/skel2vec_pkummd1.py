# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The evaluated checkpoint is epoch 1000 of a 1600-epoch learning rate
# schedule; the EMA schedule has 800 epochs (118,400 updates of 148 a piece).
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/pkummd1_xsub.py',
    '_base_/models/skel2vec.py', '_base_/schedules/skel2vec_800e.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)
param_scheduler = dict(total=1600, eta_min_ratio=0.5)
train_cfg = dict(max_epochs=1000)
# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
