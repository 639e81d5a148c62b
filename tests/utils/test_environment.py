# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where figures come from."""
import json

import numpy as np
import torch

from skel_ssl.utils import environment as module
from skel_ssl.utils.environment import cpu_name, environment


def test_versions_and_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    found = environment()
    assert found['torch'] == torch.__version__
    assert found['numpy'] == np.__version__
    assert found['device'] == cpu_name()
    assert json.loads(json.dumps(found)) == found

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a GPU')
    assert environment()['device'] == 'a GPU'


def test_the_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability',
                        lambda: 'AVX2')
    linux = tmp_path / 'cpuinfo'
    linux.write_text('processor\t: 0\nmodel\t\t: 1\n'
                     'model name\t: Some CPU @ 2 GHz\n\n'
                     'processor\t: 1\nmodel name\t: Some CPU @ 2 GHz\n')
    assert cpu_name(linux) == 'Some CPU @ 2 GHz (AVX2)'
    # Other systems, and processors whose kernel names no model.
    for place in (tmp_path / 'none', tmp_path / 'arm'):
        (tmp_path / 'arm').write_text('processor\t: 0\nCPU part\t: 0xd0c\n')
        monkeypatch.setattr(module.platform, 'processor', lambda: 'arm')
        assert cpu_name(place) == 'arm (AVX2)'
        monkeypatch.setattr(module.platform, 'processor', str)
        assert cpu_name(place) == 'CPU (AVX2)'
