# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'ntu60_xsub_crop72.py'
train_dataloader = dict(dataset=dict(split='xview_train'))
val_dataloader = dict(dataset=dict(split='xview_val'))
test_dataloader = dict(dataset=dict(split='xview_val'))
