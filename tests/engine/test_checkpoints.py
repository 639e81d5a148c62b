# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints are whole, and the one that is resumed from is one of them."""
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.fileio import LocalBackend, PetrelBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from skel_ssl import compat
from skel_ssl.utils import checkpoint_files
from skel_ssl.utils.checkpoint_files import (
    AtomicLocalBackend,
    find_latest_checkpoint,
    is_whole,
)
from skel_ssl.utils.files import abandoned, replacing


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)

    def forward(self, points, mode='loss'):
        if mode == 'loss':
            return dict(loss=self.fc(points).square().mean())
        return [points]


class Score(BaseMetric):
    """A metric that calls every validation better than the last one."""
    calls = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.calls += 1
        return dict(acc=float(self.calls))


def make_runner(work_dir, epochs, hooks=(), validate=False, **checkpoint):
    loader = DataLoader([dict(points=torch.ones(2))] * 4, batch_size=2)
    validation = {}
    if validate:
        validation = dict(
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=Evaluator(Score()))
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, **checkpoint)),
        custom_hooks=list(hooks),
        resume=True,
        experiment_name=f'{work_dir}_{epochs}_{os.urandom(4).hex()}',
        **validation)


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir()
                  if path.is_file() and path.suffix != '.py')


def last(work_dir):
    return Path((work_dir / 'last_checkpoint').read_text()).name


def full_disk(monkeypatch, file):
    """Let writing one file end after half of its bytes."""
    write = Path.write_bytes

    def write_half(path, data):
        if path.name.endswith(file):
            write(path, data[:len(data) // 2])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, data)

    monkeypatch.setattr(Path, 'write_bytes', write_half)


# ----------------------------------------------------------------- the backend


def test_mmengine_writes_local_files_with_it(tmp_path):
    assert isinstance(get_file_backend(str(tmp_path)), AtomicLocalBackend)
    by_name = get_file_backend(backend_args=dict(backend='local'))
    assert isinstance(by_name, AtomicLocalBackend)


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'file'
    backend = AtomicLocalBackend()
    backend.put(b'first', str(path))
    full_disk(monkeypatch, 'file')
    with pytest.raises(OSError, match='No space') as error:
        backend.put_text('second', path)
    assert error.value.filename == str(path)
    assert path.read_bytes() == b'first'
    assert names(path.parent) == ['file']


def test_links_and_devices_stay_what_they_are(tmp_path):
    target, link = tmp_path / 'target', tmp_path / 'link'
    link.symlink_to(target)
    AtomicLocalBackend().put(b'through', link)
    assert link.is_symlink() and target.read_bytes() == b'through'
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    AtomicLocalBackend().put(b'in the pipe', pipe)
    assert os.read(reader, 99) == b'in the pipe' and pipe.is_fifo()


# -------------------------------------------------------------------- the hook


def test_the_newest_are_kept(tmp_path):
    make_runner(tmp_path, 4, max_keep_ckpts=2).train()
    assert names(tmp_path) == ['epoch_3.pth', 'epoch_4.pth', 'last_checkpoint']
    assert last(tmp_path) == 'epoch_4.pth'
    assert all(is_whole(path) for path in tmp_path.glob('*.pth'))


def test_a_checkpoint_that_cannot_be_written_costs_none(
        tmp_path, monkeypatch):
    """Upstream would have removed the only one, and torn the new one."""
    with monkeypatch.context() as patch:
        full_disk(patch, 'epoch_3.pth')
        with pytest.raises(OSError, match='epoch_3.pth'):
            make_runner(tmp_path, 3, max_keep_ckpts=1).train()
    assert names(tmp_path) == ['epoch_2.pth', 'last_checkpoint']
    assert last(tmp_path) == 'epoch_2.pth' and is_whole(
        tmp_path / 'epoch_2.pth')
    make_runner(tmp_path, 3, max_keep_ckpts=1).train()
    assert names(tmp_path) == ['epoch_3.pth', 'last_checkpoint']


def test_a_kill_before_the_removal_leaves_nothing_for_ever(
        tmp_path, monkeypatch):

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, '_remove', killed)
        with pytest.raises(KeyboardInterrupt):
            make_runner(tmp_path, 4, max_keep_ckpts=2).train()
    assert names(tmp_path) == [
        'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', 'last_checkpoint'
    ]
    make_runner(tmp_path, 4, max_keep_ckpts=2).train()
    assert names(tmp_path) == ['epoch_3.pth', 'epoch_4.pth', 'last_checkpoint']


def test_the_best_one_before_stays_until_there_is_a_new_one(
        tmp_path, monkeypatch):
    best = dict(validate=True, save_best='acc', rule='greater')
    with monkeypatch.context() as patch:
        full_disk(patch, 'best_acc_epoch_2.pth')
        with pytest.raises(OSError, match='best_acc_epoch_2.pth'):
            make_runner(tmp_path, 2, **best).train()
    assert 'best_acc_epoch_1.pth' in names(tmp_path)
    other = tmp_path / 'other'
    make_runner(other, 3, **best).train()
    assert [x for x in names(other) if 'best' in x] == ['best_acc_epoch_3.pth']


def dead_process():
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    return process.pid


def test_what_a_killed_process_began_is_removed(tmp_path):
    """Once a training starts; nothing else is."""
    dead = dead_process()
    for name in (f'.{dead}.epoch_7.pth', f'.{os.getpid()}.epoch_8.pth',
                 '.hidden', f'{dead}.epoch_9.pth'):
        (tmp_path / name).write_bytes(b'PK')
    assert [p.name for p in abandoned(tmp_path)] == [f'.{dead}.epoch_7.pth']
    assert abandoned(tmp_path / 'nowhere') == []
    assert find_latest_checkpoint(str(tmp_path)) is None
    make_runner(tmp_path, 1).train()
    assert names(tmp_path) == sorted([
        '.hidden', f'.{os.getpid()}.epoch_8.pth', f'{dead}.epoch_9.pth',
        'epoch_1.pth', 'last_checkpoint'
    ])


# ----------------------------------------------------------------- the resume


def write(folder, *numbers, last=None):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        torch.save(dict(weight=torch.randn(500)),
                   folder / f'epoch_{number}.pth')
    if last is not None:
        (folder / 'last_checkpoint').write_text(str(last))
    return folder


def cut(path):
    os.truncate(path, path.stat().st_size - 100)


def flip(path):
    """One bit of the weights."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(checkpoint_files, 'print_log',
                        lambda text, **kwargs: lines.append(text))
    return lines


def test_the_last_one_if_it_is_whole(tmp_path, log):
    write(tmp_path, 1, 2, 3, last=tmp_path / 'epoch_2.pth')
    assert find_latest_checkpoint(str(tmp_path)) == str(
        tmp_path / 'epoch_2.pth')
    assert not log


@pytest.mark.parametrize('damage', [cut, flip, Path.unlink])
def test_the_newest_whole_one_before_it_with_a_warning(
        tmp_path, log, damage):
    write(tmp_path, 2, 3, 9, 10, 40, last=tmp_path / 'epoch_10.pth')
    damage(tmp_path / 'epoch_10.pth')
    cut(tmp_path / 'epoch_9.pth')
    # whole, but of no training that can go on
    write(tmp_path, 5)
    (tmp_path / 'epoch_5.pth').rename(tmp_path / 'best_acc_epoch_5.pth')
    write(tmp_path, 6)
    (tmp_path / 'epoch_6.pth').rename(tmp_path / 'epoch_6-1234.pth')
    found = find_latest_checkpoint(str(tmp_path))
    assert found == str(tmp_path / 'epoch_3.pth')
    text = '\n'.join(log)
    assert "epoch_9.pth' is damaged" in text
    state = 'does not exist' if damage is Path.unlink else 'is damaged'
    assert f"epoch_10.pth', the last checkpoint by 'last_checkpoint', " \
           f"{state}: resuming from '{found}'" in text


def test_a_folder_that_was_moved(tmp_path, log):
    write(tmp_path, 1, 2, last='/gone/work_dir/epoch_2.pth')
    assert find_latest_checkpoint(str(tmp_path)) == str(
        tmp_path / 'epoch_2.pth')
    assert 'does not exist' in log[0]


def test_none_is_left(tmp_path):
    write(tmp_path, 2, last=tmp_path / 'epoch_2.pth')
    cut(tmp_path / 'epoch_2.pth')
    with pytest.raises(FileNotFoundError, match='no whole checkpoint.*anew'):
        find_latest_checkpoint(str(tmp_path))


@pytest.mark.parametrize('text', [None, ''])
def test_a_record_that_was_never_written(tmp_path, log, text):
    """The process was killed after its first checkpoint; or by others."""
    assert find_latest_checkpoint(str(tmp_path)) is None
    write(tmp_path, 1, last=text)
    assert find_latest_checkpoint(str(tmp_path)) == str(
        tmp_path / 'epoch_1.pth')
    assert 'missing or empty' in log[-1]


def test_a_checkpoint_on_a_server_is_left_to_mmengine(tmp_path, monkeypatch):
    monkeypatch.setattr(PetrelBackend, '__init__', lambda self: None)
    write(tmp_path, 1, last='s3://bucket/epoch_4.pth')
    assert find_latest_checkpoint(str(tmp_path)) == 's3://bucket/epoch_4.pth'


def test_every_byte_counts(tmp_path):
    path = write(tmp_path, 1) / 'epoch_1.pth'
    whole = path.read_bytes()
    assert is_whole(path)
    assert not is_whole(tmp_path / 'epoch_2.pth')
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        assert not is_whole(path), end


# ----------------------------------------------------------------- the helper


def test_an_error_names_the_file(tmp_path):
    path = tmp_path / 'file'
    with pytest.raises(OSError) as error, replacing(path):
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert str(error.value).endswith(f"No space left on device: '{path}'")
    with pytest.raises(OSError, match='^in other words$'), replacing(path):
        raise OSError('in other words')


# ------------------------------------------------------------------- the shim


def test_the_shim_is_in_place_once():
    assert Runner.load_or_resume.__globals__[
        'find_latest_checkpoint'] is find_latest_checkpoint
    assert not compat.save_checkpoints_atomically()


def test_the_shim_leaves_a_healthy_upstream_alone(monkeypatch):

    def healthy(self, runner, step, meta):
        runner.save_checkpoint()

    monkeypatch.setattr(CheckpointHook, '_save_checkpoint_with_step', healthy)
    assert not compat.save_checkpoints_atomically()
    assert CheckpointHook._save_checkpoint_with_step is healthy


def test_the_shim_replaces_what_opens_files_but_no_other_backend(monkeypatch):

    def broken(self, runner, step, meta):
        open('last_checkpoint', 'w')

    class Other(LocalBackend):
        pass

    for name in ('_save_best_checkpoint', 'before_train'):
        monkeypatch.setattr(CheckpointHook, name, getattr(
            CheckpointHook, name))
    monkeypatch.setattr(CheckpointHook, '_save_checkpoint_with_step', broken)
    monkeypatch.setitem(compat.prefix_to_backends, '', Other)
    assert compat.save_checkpoints_atomically()
    assert (CheckpointHook._save_checkpoint_with_step is
            checkpoint_files.save_checkpoint_with_step)
    assert compat.prefix_to_backends[''] is Other
