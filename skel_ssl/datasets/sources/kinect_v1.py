# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The joints of the first Kinect, as its pickles name them."""

# The order of the layout kinect20.
JOINTS = ('hip_center', 'spine', 'shoulder_center', 'head', 'left_shoulder',
          'left_elbow', 'left_wrist', 'left_hand', 'right_shoulder',
          'right_elbow', 'right_wrist', 'right_hand', 'left_hip', 'left_knee',
          'left_ankle', 'left_foot', 'right_hip', 'right_knee', 'right_ankle',
          'right_foot')
