# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import os
from pathlib import Path
from typing import Iterator

import pytest

from . import common  # noqa: F401  registers the profile, for --help too

_ROOM = 3 << 30  # bytes that a test may take on top of what is there
_STATM = Path('/proc/self/statm')


@pytest.fixture(autouse=True)
def _nobody_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ('SKEL_SSL_TRUST_DATA', 'SKEL_SSL_TRUST_CHECKPOINT'):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def _no_absurd_allocation() -> Iterator[None]:
    """Whoever believes a header that claims terabytes gets a MemoryError."""
    if not _STATM.exists():
        yield
        return
    import resource
    taken = int(_STATM.read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + _ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
