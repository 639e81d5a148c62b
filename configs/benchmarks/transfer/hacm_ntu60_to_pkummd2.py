# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# From an encoder that was pre-trained with configs/hacm_ntu60.py.
_base_ = '../finetune/hacm_pkummd2.py'
