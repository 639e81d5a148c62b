# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pure functions on tensors, and the blocks that parts share."""
