# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MAMP and MAE pre-train the same small encoder.
_base_ = 'skel2vec_utdmhad.py'
