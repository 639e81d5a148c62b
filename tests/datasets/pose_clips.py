# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of transforms share."""
import numpy as np


def make_clip(persons=2, frames=6, joints=25, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(persons, frames, joints, 3)).astype(dtype)


def run(transform, keypoint, **results):
    return transform(dict(keypoint=keypoint, frame_dir='S001', **results))
