# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'ntu60_xsub_crop72.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/ntu120_3d.pkl'
classes = 120
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = dict(dataset=dict(ann_file=ann_file))
