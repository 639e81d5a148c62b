# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The synthetic sample (tools/data/make_sample.py), cross-subject.
ann_file = '{{$SKEL_DATA:data/skeleton}}/demo_3d.pkl'
classes = 17

# y is up in the camera's frame; the bodies are turned upright (z up) here.
train_pipeline = [
    dict(type='PosePreNormalize3D'),
    dict(
        type='PoseTemporalCropResize',
        clip_len=32,
        p_interval=(0.5, 1.0),
        min_frames=16),
    dict(type='PoseRandomRotate', theta=(0., 0., 1.57)),
    dict(type='PoseRandomScale', scale=0.15),
    dict(type='PoseGenSkeFeat', layout='ntu25', feats=['j']),
    dict(type='FormatGCNInput', num_person=2),
    dict(
        type='PackActionInputs',
        algorithm_keys=('mask', 'mask_rank'),
        meta_keys=('frame_dir', 'split'))
]
# No augmentation, and the middle of the clip.
augmentations = ('PoseRandomRotate', 'PoseRandomScale')
val_pipeline = [
    dict(t, p_interval=(0.95, ))
    if t['type'] == 'PoseTemporalCropResize' else t for t in train_pipeline
    if t['type'] not in augmentations
]
# Ten random crops, whose scores the head averages.
multi_clip_pipeline = [
    dict(t, p_interval=(0.5, 1.0), num_clips=10)
    if t['type'] == 'PoseTemporalCropResize' else t for t in val_pipeline
]

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
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
    num_workers=1,
    sampler=dict(type='SeededSampler', shuffle=False),
    dataset=dict(
        type='SkeletonDataset',
        ann_file=ann_file,
        pipeline=val_pipeline,
        split='xsub_val',
        layout='ntu25',
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
