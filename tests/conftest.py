# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import skel_ssl  # noqa: F401, mends mmaction before it is imported

SHARED = Path(__file__).resolve().parents[1] / '..' / 'shared'


def shared_file(name: str) -> Path:
    """A file of the reference data, or skip where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f'reference data {name} is not beside the repository')
    return path


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
