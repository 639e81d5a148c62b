# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# FineGym99, 2D poses of one athlete. Its published figure is the mean over
# the classes: save the best by acc/mean1.
_base_ = 'ntu60_2d_xsub.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/gym_2d.pkl'
classes = 99
for pipeline in (_base_.train_pipeline, _base_.val_pipeline,
                 _base_.multi_clip_pipeline):
    for transform in pipeline:
        if transform.type == 'FormatGCNInput':
            transform.num_person = 1
del pipeline, transform
train_dataloader = dict(
    dataset=dict(
        ann_file=ann_file, split='train', pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(ann_file=ann_file, split='val', pipeline=_base_.val_pipeline))
test_dataloader = dict(
    dataset=dict(
        ann_file=ann_file,
        split='val',
        pipeline=_base_.multi_clip_pipeline))
