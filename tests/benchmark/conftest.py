# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import pytest

from skel_ssl.benchmark import calls
from tests.benchmark.suites import Bench, write_data
from tests.tools.conftest import ROOT


@pytest.fixture(autouse=True)
def _root(monkeypatch, tmp_path):
    """At the root of the repository, with a small file of data."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('SKEL_DATA', str(tmp_path))
    write_data(tmp_path)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, 'count_costs',
                        lambda parts: dict(parameters=dict(encoder=1)))
    return Bench(tmp_path / 'work')
