# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
_base_ = 'skeletonmae_encoder.py'
encoder = dict(layout='ntu25', in_channels=3, depth=4)
