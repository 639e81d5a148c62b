# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'hacm_ntu60_1percent.py'
train_dataloader = dict(dataset=dict(few_labels=dict(ratio=0.1)))
