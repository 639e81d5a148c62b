# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""A run as one page that a browser shows, offline and on a phone."""
from .page import make_page, write_page
from .run_files import RunFiles, find_run

__all__ = ['RunFiles', 'find_run', 'make_page', 'write_page']
