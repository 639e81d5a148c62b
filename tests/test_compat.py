# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Every shim repairs what is broken, and leaves alone what is not."""
import fractions
import importlib.metadata
import logging
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import zipfile
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
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader, Runner
from mmengine.utils import package_utils
from packaging.version import Version
from torch.utils.data import DataLoader

import skel_ssl
from skel_ssl import compat

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


class Line(BaseModel):
    """The smallest model that a Runner trains."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, points, mode='loss'):
        return dict(loss=self.layer(points).square().mean())


def make_runner(work_dir: Path, epochs: int, **kwargs) -> Runner:
    """A Runner whose checkpoints hold all that a checkpoint can hold."""
    points = [dict(points=torch.ones(2) * i) for i in range(4)]
    kwargs.setdefault('custom_hooks', [dict(type='EMAHook')])
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(points, batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(
            type='OneCycleLR', eta_max=0.1, total_steps=9, by_epoch=False),
        experiment_name=work_dir.name,
        **kwargs)


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
        monkeypatch.setattr(torch, '__version__', '2.6.0+cpu')

    def test_replaces_the_loader_of_mmengine_once(self):
        assert compat.load_local_checkpoints_safely()
        assert CheckpointLoader._schemes[''] is compat.load_from_local
        assert not compat.load_local_checkpoints_safely()

    def test_nothing_to_do_below_torch_2_6(self, monkeypatch):
        monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
        assert not compat.load_local_checkpoints_safely()
        assert CheckpointLoader._schemes[
            ''] is mmengine_checkpoint.load_from_local

    def test_below_torch_2_6_plain_weights_are_read_by_us(
            self, monkeypatch, tmp_path):
        """What we read ourselves is as safe there, and knows fewer names."""
        monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
        for name in ('safe_globals', 'add_safe_globals',
                     'get_safe_globals', 'clear_safe_globals'):
            monkeypatch.delattr(torch.serialization, name)
        torch.save(Line().state_dict(), tmp_path / 'plain.pth')
        assert 'layer.bias' in compat.load_from_local(
            str(tmp_path / 'plain.pth'))
        torch.save(HistoryBuffer([1.], [1]), tmp_path / 'log.pth')
        with pytest.raises(compat.UnsafeCheckpointError,
                           match='SKEL_SSL_TRUST_CHECKPOINT'):
            compat.load_from_local(str(tmp_path / 'log.pth'))

    def test_leaves_the_loader_of_somebody_else(self):
        CheckpointLoader.register_scheme('', loader=print, force=True)
        assert not compat.load_local_checkpoints_safely()
        assert CheckpointLoader._schemes[''] is print


class Call:
    """Pickles as a call that unpickling would make."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.skipif(
    Version(torch.__version__) < Version('2.6'),
    reason='below torch 2.6 the loader of mmengine stays in charge')
class TestSafeLoading:
    """The loader itself: what it reads and what it refuses."""

    @pytest.mark.parametrize('function', [os.system, eval])
    def test_code_in_a_checkpoint_does_not_run(
            self, function, tmp_path, monkeypatch):
        monkeypatch.delenv(compat.TRUST_VARIABLE, raising=False)
        evil, loot = tmp_path / 'evil.pth', tmp_path / 'loot'
        order = {
            os.system: f'touch {loot}',
            eval: f'open({str(loot)!r}, "w")'
        }[function]
        torch.save(dict(state_dict=Call(function, order)), evil)
        with pytest.raises(compat.UnsafeCheckpointError) as error:
            compat.load_from_local(str(evil))
        assert not loot.exists()
        assert str(evil) in str(error.value)
        assert f'{function.__name__},' in str(error.value)
        assert 'SKEL_SSL_TRUST_CHECKPOINT=1' in str(error.value)
        # the oracle: the order would have been carried out
        torch.load(evil, weights_only=False)
        assert loot.exists()

    @pytest.mark.parametrize('owner, name', [
        (HistoryBuffer, 'register_statistics'),
        (HistoryBuffer, '__init__'),
        (OneCycleParamScheduler, '__init__'),
        (np.ndarray, 'tofile'),
        (torch.Tensor, 'min'),
    ])
    def test_getattr_reaches_nothing_else(self, owner, name, tmp_path):
        path = tmp_path / 'reaching.pth'
        with pytest.raises(pickle.UnpicklingError, match=name):
            compat._restricted_getattr(owner, name)
        torch.save(Call(getattr, owner, name), path)
        with pytest.raises(
                compat.UnsafeCheckpointError,
                match=rf'needs \w+\.{name},'):
            compat.load_from_local(str(path))

    def test_getattr_reaches_the_statistics(self):
        for name in ('min', 'max', 'mean', 'current'):
            assert compat._restricted_getattr(
                HistoryBuffer, name) is getattr(HistoryBuffer, name)

    def test_opt_in_is_explicit_and_logged(self, tmp_path, monkeypatch):
        path = str(tmp_path / 'fraction.pth')
        torch.save(fractions.Fraction(1, 3), path)
        for value in ('', '0', 'yes'):
            monkeypatch.setenv(compat.TRUST_VARIABLE, value)
            with pytest.raises(
                    compat.UnsafeCheckpointError,
                    match='needs fractions.Fraction,'):
                compat.load_from_local(path)
        monkeypatch.setenv(compat.TRUST_VARIABLE, '1')
        log = mock.Mock()
        monkeypatch.setattr(compat, 'print_log', log)
        assert compat.load_from_local(path) == fractions.Fraction(1, 3)
        assert 'fractions.Fraction' in log.call_args.args[0]
        assert log.call_args.kwargs['level'] == logging.WARNING

    def test_trust_is_not_used_where_it_is_not_needed(
            self, checkpoint, monkeypatch):
        monkeypatch.setenv(compat.TRUST_VARIABLE, '1')
        log = mock.Mock()
        monkeypatch.setattr(compat, 'print_log', log)
        assert 'state_dict' in compat.load_from_local(checkpoint)
        log.assert_not_called()

    def test_globals_that_others_allowed_stay_allowed(self, checkpoint):
        before = set(torch.serialization.get_safe_globals())
        with torch.serialization.safe_globals([HistoryBuffer]):
            compat.load_from_local(checkpoint)
            assert HistoryBuffer in torch.serialization.get_safe_globals()
        assert set(torch.serialization.get_safe_globals()) == before

    def test_what_others_allowed_does_not_come_before_ours(self, tmp_path):
        """As is advised against mmengine's trouble with torch 2.6."""
        path = tmp_path / 'array.pth'
        torch.save(dict(a=[np.arange(3.)]), path)
        usual = [np.ndarray, np.dtype, np.empty(0).__reduce__()[0],
                 type(np.dtype('f8'))]
        with torch.serialization.safe_globals(usual):
            before = set(torch.serialization.get_safe_globals())
            (found, ) = compat.load_from_local(str(path))['a']
            assert set(torch.serialization.get_safe_globals()) == before
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, [0, 1, 2])

    def test_arrays_of_log_buffers(self, tmp_path):
        path = tmp_path / 'log.pth'
        buffer = HistoryBuffer([1., 2.], [3, 4])
        torch.save(dict(state_dict=Line().state_dict(), log=buffer,
                        size=torch.Size([2, 3])), path)
        found = compat.load_from_local(str(path))
        for mine, theirs in zip(found['log'].data, buffer.data):
            assert type(mine) is np.ndarray
            np.testing.assert_array_equal(mine, theirs)
        assert found['log'].mean() == buffer.mean()
        assert type(found['size']) is torch.Size

    @pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
    def test_numpy_1_and_2_wrote_different_names(self, module, tmp_path):
        saved, renamed = tmp_path / 'saved.pth', tmp_path / 'renamed.pth'
        torch.save([np.arange(3.0), np.float32(2.5)], saved)
        with zipfile.ZipFile(saved) as old:
            with zipfile.ZipFile(renamed, 'w') as new:
                for name in old.namelist():
                    data = old.read(name)
                    for known in (b'cnumpy.core.', b'cnumpy._core.'):
                        data = data.replace(known, f'c{module}.'.encode())
                    new.writestr(name, data)
        array, scalar = compat.load_from_local(str(renamed))
        np.testing.assert_array_equal(array, [0, 1, 2])
        assert scalar == 2.5 and scalar.dtype == np.float32

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='nowhere.pth'):
            compat.load_from_local(str(tmp_path / 'nowhere.pth'))

    @pytest.mark.parametrize('legacy', [False, True])
    @pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9])
    def test_truncated_file(self, share, legacy, tmp_path):
        path = tmp_path / 'cut.pth'
        torch.save(
            Line().state_dict(),
            path,
            _use_new_zipfile_serialization=not legacy)
        assert 'layer.bias' in compat.load_from_local(str(path))
        data = path.read_bytes()
        path.write_bytes(data[:int(len(data) * share)])
        with pytest.raises(RuntimeError, match='cut.pth.*truncated'):
            compat.load_from_local(str(path))

    @pytest.mark.filterwarnings('ignore:Detected pickle protocol')
    @pytest.mark.parametrize(
        'content', [
            b'version https://git-lfs.github.com/spec/v1',
            b'<!DOCTYPE html>',
            b'PK\x03\x04 but no archive',
            pickle.dumps(dict(state_dict={})),
        ],
        ids=['git-lfs pointer', 'web page', 'broken zip', 'plain pickle'])
    def test_no_checkpoint_at_all(self, content, tmp_path):
        path = tmp_path / 'other.pth'
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match='no file written by'):
            compat.load_from_local(str(path))

    def test_other_trouble_keeps_its_own_error(self, checkpoint):

        def no_such_device(storage, location):
            raise RuntimeError('there is no such device')

        with pytest.raises(RuntimeError, match='^there is no such device$'):
            compat.load_from_local(checkpoint, no_such_device)


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
            from tests.test_compat import make_runner
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
