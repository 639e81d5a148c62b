# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same for 25 joints in 3D.
_base_ = 'strl.py'
model = dict(
    backbone=dict(layout='ntu25', in_channels=3, encoder=dict(depth=4)))
