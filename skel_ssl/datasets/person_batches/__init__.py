# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Whole batches of persons, made at once with torch.

``PersonDataset`` in :mod:`.dataset` is what a config names.
"""
