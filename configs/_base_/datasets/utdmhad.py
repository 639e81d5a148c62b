# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# UTD-MHAD (20 joints, one person), train on the odd subjects, test on the
# even ones. Most classes are done with the right arm, and some differ by
# their direction alone: no clip is flipped (docs/benchmark.md has what that
# is worth).
_base_ = 'nwucla.py'
ann_file = '{{$SKEL_DATA:data/skeleton}}/utdmhad_3d.pkl'
classes = 27
train_pipeline = [
    t for t in _base_.train_pipeline if t['type'] != 'PoseRandomFlip'
]
train_dataloader = dict(
    dataset=dict(
        ann_file=ann_file, pipeline=train_pipeline, split='xsub_train'))
val_dataloader = dict(dataset=dict(ann_file=ann_file, split='xsub_val'))
test_dataloader = dict(dataset=dict(ann_file=ann_file, split='xsub_val'))
