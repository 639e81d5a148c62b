# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Files, checkpoints and the command line: what is no part of a method."""
