# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Skeleton2vec on UTD-MHAD, cross-subject: a small encoder, minutes on a CPU.
_base_ = [
    '_base_/default_runtime.py', '_base_/datasets/utdmhad.py',
    '_base_/models/skel2vec_small.py', '_base_/schedules/skel2vec_small.py'
]
_base_.train_dataloader.dataset.pipeline.insert(-1, _base_.mask)

# About as many steps as on NW-UCLA, of fewer clips.
param_scheduler = dict(warmup=18, total=220)
train_cfg = dict(max_epochs=220)
_base_.custom_hooks[0].anneal_epochs = 220

# Pre-training has no evaluation loop.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
