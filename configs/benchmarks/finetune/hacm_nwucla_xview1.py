# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'hacm_nwucla.py'
train_dataloader = dict(dataset=dict(split='xview1_clean_train'))
val_dataloader = dict(dataset=dict(split='xview1_clean_val'))
test_dataloader = dict(dataset=dict(split='xview1_clean_val'))
