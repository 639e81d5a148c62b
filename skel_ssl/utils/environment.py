# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where figures come from."""
import platform
import re
from pathlib import Path
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
        if torch.cuda.is_available() else cpu_name())


def cpu_name(cpuinfo: Path = Path('/proc/cpuinfo')) -> str:
    """The processor, and the instructions that torch uses of it: seconds
    depend on the one, the last digits of figures on the other.

    Args:
        cpuinfo (Path): Where Linux says it; elsewhere there is no such file,
            and Python is asked.
    """
    text = cpuinfo.read_text() if cpuinfo.is_file() else ''
    found = re.search(r'^model name\s*: (.+)$', text, re.M)
    name = found[1] if found else platform.processor()
    return f'{name or "CPU"} ({torch.backends.cpu.get_cpu_capability()})'
