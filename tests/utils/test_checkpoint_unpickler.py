# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a checkpoint can try where torch's own safe loader is too old.

Ordinary checkpoints, and those of strangers, are in test_checkpoint_loading
and in tests/fuzz, which go through both loaders.
"""
import argparse
import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch
from mmengine.logging import HistoryBuffer

from skel_ssl.utils.checkpoint_loading import (
    DamagedCheckpointError,
    load_from_local,
)
from skel_ssl.utils.checkpoint_unpickler import load_with_names

NAMES = {
    'argparse.Namespace': argparse.Namespace,
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
    'builtins.getattr': lambda owner, name: HistoryBuffer.mean
}
NAMESPACE = b'cargparse\nNamespace\n'
TEXT = b'X\x04\x00\x00\x00evil'
STATE = b'}' + TEXT + b'K\x01s'  # {'evil': 1}


@pytest.fixture
def load(tmp_path):
    """Read a checkpoint whose pickle has this body."""

    def read(body: bytes):
        plain, path = io.BytesIO(), tmp_path / 'x.pth'
        torch.save({}, plain)
        with zipfile.ZipFile(plain) as old, zipfile.ZipFile(
                path, 'w') as new:
            for name in old.namelist():
                data = old.read(name)
                if name.endswith('data.pkl'):
                    data = b'\x80\x02' + body + b'.'
                new.writestr(name, data)
        return load_with_names(path, 'cpu', NAMES)

    return read


def test_what_has_a_name_is_made(load):
    made = load(NAMESPACE + b')\x81' + STATE + b'b')
    assert type(made) is argparse.Namespace and made.evil == 1
    made = load(b'ccollections\nOrderedDict\n)R' + STATE + b'b')
    assert type(made) is OrderedDict and made.evil == 1


@pytest.mark.parametrize('body, told', [
    (NAMESPACE + STATE + b'b', 'state of'),
    (NAMESPACE + b'N' + STATE + b'\x86b', 'state of'),
    (b'cbuiltins\ngetattr\n' + STATE + b'b', 'state of'),
    (b'ctorch\nfloat32\n' + STATE + b'b', 'state of'),
    (b'ctorch\nTensor\n(K\x03t\x81', 'instance of'),
    (b'cbuiltins\ngetattr\n(K\x03t\x81', 'instance of'),
    (TEXT + b')R', 'call of evil'),
    (b'cbuiltins\ngetattr\n' + NAMESPACE + TEXT + b'\x86R)R', 'call of'),
    (b'cos\nsystem\n' + TEXT + b'\x85R', 'GLOBAL os.system'),
    (b'X\x06\x00\x00\x00module' + TEXT + b'\x86Q', 'reference to'),
    (TEXT + b'Q', 'reference to'),
    (b'\x96' + (2**40).to_bytes(8, 'little'), 'operation 150'),
    (b'(cargparse\nNamespace\no', 'operation'),
], ids=range(13))
def test_what_it_must_not_do(load, body, told):
    """Among that: attributes of a class are everybody's."""
    with pytest.raises(pickle.UnpicklingError, match=f'unsupported {told}'):
        load(body)
    assert not hasattr(argparse.Namespace, 'evil')


def test_a_torchscript_archive(tmp_path):
    """It is a program, which torch would load with another function."""
    path = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL torch.jit'):
        load_with_names(path, 'cpu', NAMES)


@pytest.mark.usefixtures('either_loader')
def test_an_archive_of_the_oldest_format(tmp_path, monkeypatch):
    """Torch would write the members of the tar to the disk."""
    path, extracted = tmp_path / 'old.pth', []
    with tarfile.open(path, 'w') as archive:
        for name in ('storages', 'tensors', 'pickle'):
            info = tarfile.TarInfo(name)
            content = pickle.dumps(0, 2)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(tarfile.TarFile, 'extract',
                        lambda *args, **kwargs: extracted.append(args))
    with pytest.raises(DamagedCheckpointError):
        load_from_local(str(path))
    assert not extracted
