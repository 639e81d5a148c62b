# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .backbones import *  # noqa: F403
from .data_preprocessors import *  # noqa: F403
from .heads import *  # noqa: F403
from .losses import *  # noqa: F403
from .masks import *  # noqa: F403
from .necks import *  # noqa: F403
from .selfsup import *  # noqa: F403
from .targets import *  # noqa: F403
