# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# From an encoder that was pre-trained with configs/skel2vec_ntu60.py.
_base_ = '../finetune/skel2vec_pkummd2.py'
train_dataloader = dict(batch_size=24)
auto_scale_lr = dict(base_batch_size=24)
