# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# UTD-MHAD (20 joints, one person), train on the odd subjects, test on the
# even ones.
_base_ = 'nwucla.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/utdmhad_3d.pkl'
classes = 27
train_dataloader = dict(dataset=dict(ann_file=ann_file, split='xsub_train'))
val_dataloader = dict(dataset=dict(ann_file=ann_file, split='xsub_val'))
test_dataloader = dict(dataset=dict(ann_file=ann_file, split='xsub_val'))
