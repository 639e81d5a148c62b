# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# The same network without pre-training.
_base_ = 'skeletonmae_gym.py'
