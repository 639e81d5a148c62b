# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the loader of checkpoints reads, and what it refuses."""
import fractions
import logging
import os
import pickle
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from skel_ssl.utils import checkpoint_loading
from skel_ssl.utils.checkpoint_loading import (
    TRUST_VARIABLE,
    UnsafeCheckpointError,
    load_from_local,
    torch_takes_names,
)
from tests.tiny_runner import Line, make_runner

pytestmark = pytest.mark.usefixtures('either_loader')
with_names = pytest.mark.skipif(
    not torch_takes_names(), reason='torch < 2.6 takes no names')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> str:
    runner = make_runner(tmp_path_factory.mktemp('trained'), epochs=1)
    runner.train()
    return str(Path(runner.work_dir) / 'epoch_1.pth')


class Call:
    """Pickles as a call that unpickling would make."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('function', [os.system, eval])
def test_code_in_a_checkpoint_does_not_run(function, tmp_path, monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    evil, loot = tmp_path / 'evil.pth', tmp_path / 'loot'
    order = {
        os.system: f'touch {loot}',
        eval: f'open({str(loot)!r}, "w")'
    }[function]
    torch.save(dict(state_dict=Call(function, order)), evil)
    with pytest.raises(UnsafeCheckpointError) as error:
        load_from_local(str(evil))
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
def test_getattr_reaches_nothing_else(owner, name, tmp_path):
    path = tmp_path / 'reaching.pth'
    with pytest.raises(pickle.UnpicklingError, match=name):
        checkpoint_loading._restricted_getattr(owner, name)
    torch.save(Call(getattr, owner, name), path)
    with pytest.raises(
            UnsafeCheckpointError,
            match=rf'needs \w+\.{name},'):
        load_from_local(str(path))


def test_getattr_reaches_the_statistics():
    for name in ('min', 'max', 'mean', 'current'):
        assert checkpoint_loading._restricted_getattr(
            HistoryBuffer, name) is getattr(HistoryBuffer, name)


def test_opt_in_is_explicit_and_logged(tmp_path, monkeypatch):
    path = str(tmp_path / 'fraction.pth')
    torch.save(fractions.Fraction(1, 3), path)
    for value in ('', '0', 'yes'):
        monkeypatch.setenv(TRUST_VARIABLE, value)
        with pytest.raises(
                UnsafeCheckpointError,
                match='needs fractions.Fraction,'):
            load_from_local(path)
    monkeypatch.setenv(TRUST_VARIABLE, '1')
    log = mock.Mock()
    monkeypatch.setattr(checkpoint_loading, 'print_log', log)
    assert load_from_local(path) == fractions.Fraction(1, 3)
    assert 'fractions.Fraction' in log.call_args.args[0]
    assert log.call_args.kwargs['level'] == logging.WARNING


def test_trust_is_not_used_where_it_is_not_needed(checkpoint, monkeypatch):
    monkeypatch.setenv(TRUST_VARIABLE, '1')
    log = mock.Mock()
    monkeypatch.setattr(checkpoint_loading, 'print_log', log)
    assert 'state_dict' in load_from_local(checkpoint)
    log.assert_not_called()


@with_names
def test_globals_that_others_allowed_stay_allowed(checkpoint):
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([HistoryBuffer]):
        load_from_local(checkpoint)
        assert HistoryBuffer in torch.serialization.get_safe_globals()
    assert set(torch.serialization.get_safe_globals()) == before


@with_names
def test_what_others_allowed_does_not_come_before_ours(tmp_path):
    """As is advised against mmengine's trouble with torch 2.6."""
    path = tmp_path / 'array.pth'
    torch.save(dict(a=[np.arange(3.)]), path)
    usual = [np.ndarray, np.dtype, np.empty(0).__reduce__()[0],
             type(np.dtype('f8'))]
    with torch.serialization.safe_globals(usual):
        before = set(torch.serialization.get_safe_globals())
        (found, ) = load_from_local(str(path))['a']
        assert set(torch.serialization.get_safe_globals()) == before
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, [0, 1, 2])


def test_arrays_of_log_buffers(tmp_path):
    path = tmp_path / 'log.pth'
    buffer = HistoryBuffer([1., 2.], [3, 4])
    torch.save(dict(state_dict=Line().state_dict(), log=buffer,
                    size=torch.Size([2, 3])), path)
    found = load_from_local(str(path))
    for mine, theirs in zip(found['log'].data, buffer.data):
        assert type(mine) is np.ndarray
        np.testing.assert_array_equal(mine, theirs)
    assert found['log'].mean() == buffer.mean()
    assert type(found['size']) is torch.Size


@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_numpy_1_and_2_wrote_different_names(module, tmp_path):
    saved, renamed = tmp_path / 'saved.pth', tmp_path / 'renamed.pth'
    torch.save([np.arange(3.0), np.float32(2.5)], saved)
    with zipfile.ZipFile(saved) as old:
        with zipfile.ZipFile(renamed, 'w') as new:
            for name in old.namelist():
                data = old.read(name)
                for known in (b'cnumpy.core.', b'cnumpy._core.'):
                    data = data.replace(known, f'c{module}.'.encode())
                new.writestr(name, data)
    array, scalar = load_from_local(str(renamed))
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert scalar == 2.5 and scalar.dtype == np.float32


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        load_from_local(str(tmp_path / 'nowhere.pth'))


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9])
def test_truncated_file(share, legacy, tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save(
        Line().state_dict(),
        path,
        _use_new_zipfile_serialization=not legacy)
    assert 'layer.bias' in load_from_local(str(path))
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    with pytest.raises(RuntimeError, match='cut.pth.*truncated'):
        load_from_local(str(path))


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize(
    'content', [
        b'version https://git-lfs.github.com/spec/v1',
        b'<!DOCTYPE html>',
        b'PK\x03\x04 but no archive',
        pickle.dumps(dict(state_dict={})),
    ],
    ids=['git-lfs pointer', 'web page', 'broken zip', 'plain pickle'])
def test_no_checkpoint_at_all(content, tmp_path):
    path = tmp_path / 'other.pth'
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match='no file written by'):
        load_from_local(str(path))


def test_other_trouble_keeps_its_own_error(checkpoint):

    def no_such_device(storage, location):
        raise RuntimeError('there is no such device')

    with pytest.raises(RuntimeError, match='^there is no such device$'):
        load_from_local(checkpoint, no_such_device)
