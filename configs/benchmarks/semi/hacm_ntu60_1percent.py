# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Fine-tuning on 1 % of the labels of each class; another draw of them with
# train_dataloader.dataset.few_labels.subset=1 (2, 3, 4).
_base_ = '../finetune/hacm_ntu60.py'
train_dataloader = dict(dataset=dict(few_labels=dict(ratio=0.01, subset=0)))
custom_hooks = [dict(type='SameDataHook')]
