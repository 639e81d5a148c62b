# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same for 25 joints in 3D. A hidden hand tip is four steps from the
# nearest visible joint, so a layer more than the paper's three.
_base_ = 'skeletonmae.py'
encoder = dict(layout='ntu25', in_channels=3, depth=4)
model = dict(
    backbone=dict(layout='ntu25', in_channels=3, depth=4),
    neck=dict(layout='ntu25'))
mask = dict(layout='ntu25')
