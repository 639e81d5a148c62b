# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Every shim repairs what is broken, and leaves alone what is not."""
import importlib.metadata
import os
import socket
import subprocess
import sys
import textwrap
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import mmengine
import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import CheckpointLoader, Runner
from mmengine.utils import package_utils

import skel_ssl
from skel_ssl import compat
from skel_ssl.utils.checkpoint_loading import load_from_local
from tests.tiny_runner import Line, make_runner

ROOT = Path(__file__).resolve().parents[1]


def cold_start(code: str, path: Path = ROOT, **env: str) -> subprocess.Popen:
    """Start an interpreter that has imported nothing yet."""
    return subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(code)],
        env={**os.environ, 'PYTHONPATH': str(path), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True)


def output_of(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


class TestVersionGuard:

    def test_names_what_is_there_and_what_fits(self):
        with pytest.raises(ImportError) as error:
            skel_ssl._check_version('mmcv', '>=99', 'pip install better')
        assert 'mmcv >=99' in str(error.value)
        assert f'{__import__("mmcv").__version__} is' in str(error.value)
        assert 'pip install better' in str(error.value)

    def test_names_what_is_missing(self):
        with pytest.raises(ImportError, match='no_such_module >=1.*missing'):
            skel_ssl._check_version('no_such_module', '>=1', 'pip install it')

    def test_passes_on_what_a_present_package_lacks(
            self, tmp_path, monkeypatch):
        (tmp_path / 'half_there.py').write_text('import no_such_module')
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match='no_such_module'):
            skel_ssl._check_version('half_there', '>=1', 'pip install it')


class TestQuietImport:

    def test_nothing_is_said(self):
        code = 'import skel_ssl; print(skel_ssl.compat.import_mmcv_quietly())'
        process = cold_start(code, PYTHONWARNINGS='default::UserWarning')
        out, err = process.communicate(timeout=300)
        assert out == 'False\n' and 'MultiScaleDeformableAttention' not in err

    def test_other_warnings_are_not_hidden(self):
        code = '''
            import warnings
            import skel_ssl
            warnings.warn('Fail to import ``MultiScaleDeformableAttention``')
        '''
        _, err = cold_start(code).communicate(timeout=300)
        assert err.count('UserWarning') == 1


class TestMissingDRN:

    def test_mmaction_models_import_after_us(self):
        code = 'import skel_ssl, mmaction.models; print("imported")'
        assert 'imported' in output_of(cold_start(code))

    def test_stub_on_a_package_without_the_folder(self, tmp_path):
        localizers = tmp_path / 'mmaction' / 'models' / 'localizers'
        localizers.mkdir(parents=True)
        for folder in (localizers, *localizers.parents[:2]):
            (folder / '__init__.py').touch()
        (tmp_path / 'mmaction' / 'registry.py').write_text(
            'from mmengine.registry import Registry\n'
            'MODELS = Registry("model")\n')
        (localizers / '__init__.py').write_text('from .drn.drn import DRN')
        code = f'''
            import importlib.util
            spec = importlib.util.spec_from_file_location(
                'compat', {compat.__file__!r})
            compat = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(compat)
            print(compat.stub_missing_drn(), compat.stub_missing_drn())
            import mmaction.models.localizers
            from mmaction.registry import MODELS
            try:
                MODELS.build(dict(type='DRN', vocab_size=1))
            except ImportError as error:
                print(error)
        '''
        out = output_of(cold_start(code, path=tmp_path))
        assert out.startswith('True False\n')
        assert f'no {localizers / "drn" / "drn.py"}' in out
        assert 'pip install -e .' in out

    def test_nothing_to_do_where_the_folder_exists(
            self, tmp_path, monkeypatch):
        source = tmp_path / 'models' / 'localizers' / 'drn' / 'drn.py'
        source.parent.mkdir(parents=True)
        source.touch()
        spec = SimpleNamespace(origin=str(tmp_path / '__init__.py'))
        monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda _: spec)
        package = 'mmaction.models.localizers.drn'
        monkeypatch.delitem(sys.modules, package, raising=False)
        assert not compat.stub_missing_drn()
        assert package not in sys.modules


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Runner:
    runner = make_runner(tmp_path_factory.mktemp('trained'), epochs=1)
    # numpy numbers and text, as data sets' metainfo and best scores are
    runner.message_hub.update_info('best_score', np.float32(0.5))
    runner.message_hub.update_info('names', np.array(['sit', 'stand']))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def checkpoint(trained) -> str:
    return str(Path(trained.work_dir) / 'epoch_1.pth')


class TestMMEngineCheckpoints:

    def test_resume(self, trained, checkpoint, tmp_path):
        runner = make_runner(tmp_path, 2, load_from=checkpoint, resume=True)
        runner.train()
        assert runner.epoch == 2 and runner.iter == 4
        first, both = (
            run.message_hub.get_scalar('train/loss').data[0]
            for run in (trained, runner))
        assert len(first) == 2 and len(both) == 4
        np.testing.assert_array_equal(first, both[:2])
        assert runner.message_hub.get_info('best_score') == 0.5
        assert runner.message_hub.get_info('names')[1] == 'stand'

    def test_load_from(self, trained, checkpoint, tmp_path):
        runner = make_runner(
            tmp_path, 1, load_from=checkpoint, custom_hooks=[])
        runner.load_or_resume()
        saved = CheckpointLoader.load_checkpoint(checkpoint)['state_dict']
        for name, value in runner.model.state_dict().items():
            torch.testing.assert_close(value, saved[name])

    def test_init_cfg_pretrained(self, checkpoint):
        model = Line(init_cfg=dict(type='Pretrained', checkpoint=checkpoint))
        model.init_weights()
        saved = CheckpointLoader.load_checkpoint(checkpoint)['state_dict']
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, saved[name])


class TestLocalLoader:
    """When the shim steps in."""

    @pytest.fixture(autouse=True)
    def _upstream_loader(self, monkeypatch):
        upstream = {'': mmengine_checkpoint.load_from_local}
        monkeypatch.setattr(CheckpointLoader, '_schemes', upstream)

    def test_replaces_the_loader_of_mmengine_once(self):
        assert compat.load_local_checkpoints_safely()
        assert CheckpointLoader._schemes[''] is load_from_local
        assert not compat.load_local_checkpoints_safely()

    def test_leaves_the_loader_of_somebody_else(self):
        CheckpointLoader.register_scheme('', loader=print, force=True)
        assert not compat.load_local_checkpoints_safely()
        assert CheckpointLoader._schemes[''] is print


def asks_pkg_resources(package):
    import pkg_resources
    return pkg_resources.get_distribution(package)


def asks_nobody(package):
    """Like the functions of a later mmengine: needs no pkg_resources."""


class TestWithoutPkgResources:

    def test_base_configs_of_other_packages(self, tmp_path):
        (tmp_path / 'child.py').write_text(
            "_base_ = 'mmaction::_base_/default_runtime.py'")
        cfg = Config.fromfile(tmp_path / 'child.py')
        assert cfg.default_scope == 'mmaction'

    def test_hub(self):
        cfg = get_config('mmaction::_base_/schedules/sgd_50e.py')
        assert cfg.optim_wrapper.optimizer.type == 'SGD'

    def test_questions_about_packages(self):
        folder = str(Path(mmengine.__path__[0]).parent / 'mmaction')
        assert compat.is_installed('mmaction')  # a module
        assert compat.is_installed('mmaction2')  # a distribution
        assert not compat.is_installed('no_such_package')
        assert compat.package2module('mmaction2') == 'mmaction'
        assert compat.get_installed_path('mmaction') == folder
        assert compat.get_installed_path('mmaction2') == folder
        with pytest.raises(
                importlib.metadata.PackageNotFoundError,
                match='no_such_package'):
            compat.get_installed_path('no_such_package')

    def test_namespace_packages_have_no_path(self, tmp_path, monkeypatch):
        (tmp_path / 'spread_out').mkdir()
        monkeypatch.syspath_prepend(tmp_path)
        assert not compat.is_installed('spread_out')
        with pytest.raises(RuntimeError, match="'spread_out' is a namespace"):
            compat.get_installed_path('spread_out')

    @pytest.fixture
    def upstream(self, monkeypatch):
        """mmengine's function as released, in both places it is found in."""
        for module in (package_utils, mmengine.utils):
            monkeypatch.setattr(module, 'is_installed', asks_pkg_resources)
        return asks_pkg_resources

    def test_replaces_functions_that_ask_it(self, upstream, monkeypatch):
        monkeypatch.setitem(sys.modules, 'pkg_resources', None)
        assert compat.find_packages_without_pkg_resources()
        for module in (package_utils, mmengine.utils):
            assert module.is_installed is compat.is_installed
        assert not compat.find_packages_without_pkg_resources()

    def test_nothing_to_do_with_pkg_resources(self, upstream, monkeypatch):
        present = ModuleType('pkg_resources')
        present.__spec__ = ModuleSpec('pkg_resources', None)
        monkeypatch.setitem(sys.modules, 'pkg_resources', present)
        assert not compat.find_packages_without_pkg_resources()
        assert package_utils.is_installed is upstream

    def test_nothing_to_do_if_mmengine_does_not_ask_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'pkg_resources', None)
        for name in ('is_installed', 'get_installed_path', 'package2module'):
            monkeypatch.setattr(package_utils, name, asks_nobody)
        assert not compat.find_packages_without_pkg_resources()
        assert package_utils.is_installed is asks_nobody


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


class TestDistWithoutAccelerator:

    @pytest.fixture(autouse=True)
    def _on_a_cpu(self, monkeypatch):
        monkeypatch.setattr(compat, 'get_device', lambda: 'cpu')
        with mock.patch.dict(os.environ):
            yield
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    @pytest.mark.parametrize('launcher, prefix', [
        ('pytorch', ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')),
        ('slurm', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')),
        ('mpi', ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
                 'OMPI_COMM_WORLD_LOCAL_RANK')),
    ])
    def test_one_rank(self, launcher, prefix):
        for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
            os.environ.pop(name, None)
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port())
        for name, value in zip(prefix, '010'):
            os.environ[name] = value
        assert compat.init_dist_without_accelerator(launcher)
        assert torch.distributed.get_backend() == 'gloo'
        assert torch.distributed.get_world_size() == 1
        assert os.environ['LOCAL_RANK'] == '0'  # mmengine's wrapper reads it
        assert compat.init_dist_without_accelerator(launcher)

    def test_slurm_asks_for_the_first_host(self, monkeypatch):
        os.environ.pop('MASTER_ADDR', None)
        os.environ.update(
            SLURM_PROCID='0',
            SLURM_NTASKS='1',
            SLURM_LOCALID='0',
            SLURM_NODELIST='node[1-2]',
            MASTER_PORT=free_port())
        scontrol = mock.Mock(return_value='127.0.0.1\nnode2\n')
        monkeypatch.setattr(compat.subprocess, 'check_output', scontrol)
        assert compat.init_dist_without_accelerator('slurm')
        assert scontrol.call_args.args[0][-1] == 'node[1-2]'
        assert os.environ['MASTER_ADDR'] == '127.0.0.1'

    def test_two_ranks_train_in_one_runner_each(self, tmp_path):
        code = '''
            import torch
            from skel_ssl.compat import init_dist_without_accelerator
            assert init_dist_without_accelerator('pytorch')
            from pathlib import Path
            from tests.tiny_runner import make_runner
            runner = make_runner(
                Path('.').resolve(), 1, launcher='pytorch',
                cfg=dict(model_wrapper_cfg=dict(
                    type='MMDistributedDataParallel', device_ids=None)))
            points = torch.ones(1, 2) * (1 + runner.rank)
            runner.train_dataloader.dataset[:] = [dict(points=points[0])] * 4
            runner.train()
            print(runner.world_size, runner.model.module.layer.bias.item())
        '''
        env = dict(
            WORLD_SIZE='2',
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=free_port(),
            CUDA_VISIBLE_DEVICES='',
            OMP_NUM_THREADS='1')
        ranks = []
        for rank in '01':
            folder = tmp_path / f'rank{rank}'
            folder.mkdir()
            ranks.append(
                cold_start(
                    f'import os; os.chdir({str(folder)!r})\n' +
                    textwrap.dedent(code),
                    RANK=rank,
                    LOCAL_RANK=rank,
                    **env))
        last = [output_of(process).splitlines()[-1] for process in ranks]
        assert last[0].startswith('2 ')
        assert last[0] == last[1]

    def test_a_runner_without_launcher_is_left_alone(self):
        assert not compat.init_dist_without_accelerator('none')
        assert not torch.distributed.is_initialized()

    def test_nothing_to_do_with_an_accelerator(self, monkeypatch):
        monkeypatch.setattr(compat, 'get_device', lambda: 'cuda')
        assert not compat.init_dist_without_accelerator('pytorch')
        assert not torch.distributed.is_initialized()

    def test_unknown_launcher(self):
        with pytest.raises(ValueError, match="'ray' is not one of 'none'"):
            compat.init_dist_without_accelerator('ray')

    def test_started_without_its_launcher(self):
        os.environ.pop('OMPI_COMM_WORLD_RANK', None)
        with pytest.raises(
                RuntimeError, match="'mpi' needs.*OMPI_COMM_WORLD_RANK"):
            compat.init_dist_without_accelerator('mpi')
