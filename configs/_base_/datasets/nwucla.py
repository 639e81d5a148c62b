# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NW-UCLA (20 joints, one person), train on views 1 and 2, test on view 3,
# without the 95 test clips that are copies of training clips. Where the file
# comes from and which other splits it has: data/README.md.
ann_file = '{{$SKEL_DATA:data/skeleton}}/nwucla_3d.pkl'
classes = 10
augmentations = ('PoseRandomRotate', 'PoseRandomScale', 'PoseRandomShear',
                 'PoseRandomFlip')

# After alignment z is up: any rotation about it, scale and shear of 15 %.
train_pipeline = [
    dict(type='PosePreNormalize3D', layout='kinect20', centre=1),
    dict(
        type='PoseTemporalCropResize',
        clip_len=32,
        p_interval=(0.5, 1.0),
        min_frames=16),
    dict(type='PoseRandomRotate', theta=(0., 0., 1.57)),
    dict(type='PoseRandomScale', scale=0.15),
    dict(type='PoseRandomShear', shear=0.15),
    dict(type='PoseRandomFlip', prob=0.5, layout='kinect20'),
    dict(type='PoseGenSkeFeat', layout='kinect20', feats=['j']),
    dict(type='FormatGCNInput', num_person=1),
    dict(
        type='PackActionInputs',
        algorithm_keys=('mask', 'mask_rank'),
        meta_keys=('frame_dir', 'split'))
]
# No augmentation, and the middle of the clip.
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
        split='xview_clean_train',
        layout='kinect20'))
val_dataloader = dict(
    batch_size=128,
    num_workers=1,
    sampler=dict(type='SeededSampler', shuffle=False),
    dataset=dict(
        type='SkeletonDataset',
        ann_file=ann_file,
        pipeline=val_pipeline,
        split='xview_clean_val',
        layout='kinect20',
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
