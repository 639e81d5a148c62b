# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Readers of the original files of data sets."""
