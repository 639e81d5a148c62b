# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where figures come from."""
import platform
from typing import Dict

import mmaction
import mmengine
import numpy as np
import torch
from mmengine.utils import get_git_hash

import skel_ssl


def environment() -> Dict[str, str]:
    """What figures may depend on beside code and data."""
    return dict(
        skel_ssl=skel_ssl.__version__,
        git=get_git_hash(),
        mmaction=mmaction.__version__,
        mmengine=mmengine.__version__,
        torch=torch.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        machine=platform.platform(),
        device=torch.cuda.get_device_name()
        if torch.cuda.is_available() else platform.processor() or 'cpu')
