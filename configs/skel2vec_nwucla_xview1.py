# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Train on views 2 and 3, to test on view 1.
_base_ = 'skel2vec_nwucla.py'
train_dataloader = dict(dataset=dict(split='xview1_clean_train'))
