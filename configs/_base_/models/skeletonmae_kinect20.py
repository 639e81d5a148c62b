# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same for 20 joints in 3D.
_base_ = 'skeletonmae.py'
encoder = dict(layout='kinect20', in_channels=3)
model = dict(
    backbone=dict(layout='kinect20', in_channels=3),
    neck=dict(layout='kinect20'))
mask = dict(layout='kinect20')
