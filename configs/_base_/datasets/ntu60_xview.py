# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NTU RGB+D 60, cross-view; here the published code aligns the bodies.
_base_ = 'ntu60_xsub.py'
for loader in (_base_.train_dataloader, _base_.val_dataloader,
               _base_.test_dataloader):
    loader.dataset.pipeline[0].update(align_spine=True, align_shoulder=True)
del loader
train_dataloader = dict(dataset=dict(split='xview_train'))
val_dataloader = dict(dataset=dict(split='xview_val'))
test_dataloader = dict(dataset=dict(split='xview_val'))
