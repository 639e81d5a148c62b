# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NTU RGB+D 60, cross-subject, 2D poses of 17 joints (HRNet) in MMAction2's
# pickle. Where the file comes from: data/README.md. The other 2D data sets
# are children of this one.
ann_file = '{{$SKEL_DATA:data/skeleton}}/ntu60_2d.pkl'
classes = 60

# Frames are chosen and noise is added in pixels, where a person who is absent
# is (0, 0). The score of a joint becomes its third channel.
train_pipeline = [
    dict(type='PoseUniformSampleFrames', clip_len=64),
    dict(type='PoseDecode'),
    dict(type='PoseJitter', sigma=0.01, unit='box'),
    dict(type='PosePreNormalize2D'),
    dict(type='FormatGCNInput', num_person=2),
    dict(
        type='PackActionInputs',
        algorithm_keys=('mask', ),
        meta_keys=('frame_dir', 'split'))
]
# No noise; testing averages 10 clips.
val_pipeline = [t for t in train_pipeline if t['type'] != 'PoseJitter']
multi_clip_pipeline = [
    dict(t, num_clips=10, test_mode=True)
    if t['type'] == 'PoseUniformSampleFrames' else t for t in val_pipeline
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='SkeletonDataset',
        ann_file=ann_file,
        pipeline=train_pipeline,
        split='xsub_train',
        layout='coco17',
        max_persons=None))
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=False),
    dataset=dict(
        type='SkeletonDataset',
        ann_file=ann_file,
        pipeline=val_pipeline,
        split='xsub_val',
        layout='coco17',
        max_persons=None,
        test_mode=True))
test_dataloader = dict(
    val_dataloader,
    batch_size=16,
    dataset=dict(val_dataloader['dataset'], pipeline=multi_clip_pipeline))
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
