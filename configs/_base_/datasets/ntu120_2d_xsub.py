# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NTU RGB+D 120, cross-subject, 2D poses.
_base_ = 'ntu60_2d_xsub.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/ntu120_2d.pkl'
classes = 120
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = dict(dataset=dict(ann_file=ann_file))
