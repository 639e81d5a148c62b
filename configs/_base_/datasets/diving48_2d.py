# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Diving48, 2D poses of one diver; the second version of the labels.
_base_ = 'gym_2d.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/diving48_2d.pkl'
classes = 48
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file, split='test'))
test_dataloader = dict(dataset=dict(ann_file=ann_file, split='test'))
