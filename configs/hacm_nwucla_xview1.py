# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# View 1 is harder than view 3 and has no copies in the training set.
_base_ = 'hacm_nwucla.py'
train_dataloader = dict(dataset=dict(split='xview1_clean_train'))
