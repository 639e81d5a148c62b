# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Where runs go, and that none replaces what it begins with."""
import os

import pytest

from skel_ssl.utils.cli import default_work_dir
from tests.tools.conftest import ROOT
from tools.train import check_work_dir


@pytest.mark.parametrize('config, stream, folder', [
    ('configs/skel2vec_demo.py', None, 'skel2vec_demo'),
    ('configs/skel2vec_demo.py', 'b', 'skel2vec_demo_b'),
    ('my/configs/deep/mine.v2.py', None, 'mine.v2'),
    ('/a/benchmarks/repository/configs/skel2vec_demo.py', None,
     'skel2vec_demo'),
    ('configs/benchmarks/linear/skel2vec_demo.py', None,
     'benchmarks/linear/skel2vec_demo'),
    (str(ROOT / 'configs/benchmarks/knn/x.py'), 'jm', 'benchmarks/knn/x_jm'),
])
def test_the_default(config, stream, folder):
    assert default_work_dir(config, stream) == f'./work_dirs/{folder}'


def test_no_two_configs_share_a_folder():
    configs = [path for path in (ROOT / 'configs').rglob('*.py')
               if not {'_base_', 'suites'} & set(path.parts)]
    folders = [default_work_dir(str(path)) for path in configs]
    assert len(set(folders)) == len(folders) > 100


def test_what_a_run_begins_with_is_not_replaced(tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'run')
    weights = str(tmp_path / 'run/epoch_20.pth')
    check_work_dir(str(tmp_path / 'other'), weights)
    check_work_dir(str(tmp_path / 'run'), None)
    for folder in ('run', 'link', 'other/../run'):
        with pytest.raises(ValueError, match='epoch_20.*another --work-dir'):
            check_work_dir(os.path.join(tmp_path, folder), weights)
