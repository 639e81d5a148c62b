# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import random
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
import torch

import skel_ssl  # noqa: F401, mends mmaction before it is imported
from skel_ssl.utils import checkpoint_loading

SHARED = Path(__file__).resolve().parents[1] / '..' / 'shared'


def shared_file(name: str) -> Path:
    """A file of the reference data, or skip where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f'reference data {name} is not beside the repository')
    return path


@pytest.fixture(params=['torch >= 2.6', 'torch < 2.6'], scope='module')
def either_loader(request) -> Iterator[None]:
    """Checkpoints are read the way of this torch, and of older ones."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'torch < 2.6':
            patch.setattr(checkpoint_loading, 'torch_takes_names',
                          lambda: False)
        elif not checkpoint_loading.torch_takes_names():
            pytest.skip('this torch takes no names')
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
