# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NTU RGB+D 60, cross-subject, 3D skeletons in MMAction2's pickle. Where the
# file comes from: data/README.md. SKEL_DATA names another folder.
ann_file = '{{$SKEL_DATA:data/skeleton}}/ntu60_3d.pkl'
classes = 60

train_pipeline = [
    dict(
        type='PosePreNormalize3D', align_spine=False, align_shoulder=False),
    dict(type='PoseRandomRotate', theta=0.3),
    dict(type='GenSkeFeat', feats=['j']),
    dict(type='PoseUniformSampleFrames', clip_len=90),
    dict(type='PoseDecode'),
    dict(type='FormatGCNInput', num_person=2),
    dict(
        type='PackActionInputs',
        algorithm_keys=('mask', 'mask_rank'),
        meta_keys=('frame_dir', 'split'))
]
# Everything but the augmentation; testing averages 10 clips.
val_pipeline = [t for t in train_pipeline if t['type'] != 'PoseRandomRotate']
test_pipeline = [
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
        layout='ntu25'))
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
        layout='ntu25',
        test_mode=True))
test_dataloader = dict(
    val_dataloader,
    batch_size=16,
    dataset=dict(val_dataloader['dataset'], pipeline=test_pipeline))
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
