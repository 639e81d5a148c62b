# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Trainings that go wrong on purpose, for ``inject_faults.py``."""
