# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Hardening: see ``docs/hardening.md``."""
