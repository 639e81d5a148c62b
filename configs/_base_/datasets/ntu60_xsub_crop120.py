# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same data with the sampling of MAMP: a random half or more of the clip,
# stretched to 120 frames; testing takes the centre.
_base_ = 'ntu60_xsub.py'
for part, share in (('train', (0.5, 1.0)), ('val', (0.95, )), ('test',
                                                              (0.95, ))):
    pipeline = _base_[f'{part}_dataloader'].dataset.pipeline
    start = [t.type for t in pipeline].index('PoseUniformSampleFrames')
    pipeline[start:start + 2] = [  # and PoseDecode
        dict(
            type='PoseTemporalCropResize', clip_len=120, p_interval=share)
    ]
del part, share, pipeline, start
test_dataloader = dict(batch_size=128)
