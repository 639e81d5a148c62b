# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same data with 64 frames, and noise in place of the rotation.
_base_ = 'ntu60_xsub.py'
for part in ('train', 'val', 'test'):
    pipeline = _base_[f'{part}_dataloader'].dataset.pipeline
    kinds = [t.type for t in pipeline]
    pipeline[kinds.index('PoseUniformSampleFrames')].clip_len = 64
    if part == 'train':
        pipeline.insert(
            kinds.index('PoseDecode') + 1,
            dict(type='PoseJitter', sigma=0.01, unit='box'))
        del pipeline[kinds.index('PoseRandomRotate')]
del part, pipeline, kinds
