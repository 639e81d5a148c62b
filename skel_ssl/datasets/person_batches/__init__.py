# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Whole batches of persons, made at once with torch.

``PersonDataset`` and ``ClipDataset`` are what a config names.
"""
