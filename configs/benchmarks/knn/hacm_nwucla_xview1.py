# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'hacm_nwucla.py'
test_dataloader = dict(
    dataset=dict(split=['xview1_clean_train', 'xview1_clean_val']))
test_evaluator = dict(gallery_split='xview1_clean_train')
