# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NTU RGB+D 120, cross-setup, 2D poses.
_base_ = 'ntu120_2d_xsub.py'
train_dataloader = dict(dataset=dict(split='xset_train'))
val_dataloader = dict(dataset=dict(split='xset_val'))
test_dataloader = dict(dataset=dict(split='xset_val'))
