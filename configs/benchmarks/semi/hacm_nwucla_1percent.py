# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Fine-tuning on 1 % of the labels of each class; another draw of them with
# train_dataloader.dataset.few_labels.subset=1 (2, 3, 4).
_base_ = '../finetune/hacm_nwucla.py'
train_dataloader = dict(dataset=dict(few_labels=dict(ratio=0.01, subset=0)))
custom_hooks = [dict(type='SameDataHook')]
# Ten clips are one step an epoch: as many steps as it takes to learn them, and
# larger ones.
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = dict(warmup=20, total=200)
train_cfg = dict(max_epochs=200, val_interval=200)
