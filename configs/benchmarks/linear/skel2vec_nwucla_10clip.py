# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same probe, tested on ten random crops of a clip: the head averages
# their logits.
_base_ = 'skel2vec_nwucla.py'
test_dataloader = dict(
    batch_size=16, dataset=dict(pipeline=_base_.multi_clip_pipeline))
