# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""tools/extract_features.py: an .npz from files or from a split."""
import json

import numpy as np
import pytest

from tests.apis.tiny_models import make_clip, save_pretraining
from tests.tools.conftest import (
    NUM_TRAIN,
    NUM_VAL,
    TINY_ENCODER,
)
from tools import extract_features

EXTRACT = 'tools/extract_features.py'
PRETRAIN = 'configs/skel2vec_demo.py'
LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
OPTIONS = ('--cfg-options', *TINY_ENCODER)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('pre') / 'pre.pth'
    save_pretraining(path)
    return path


@pytest.fixture
def call(monkeypatch, capsys, skel_data, checkpoint, tmp_path):
    """Run it in this process; the content of the file."""

    def call(config, *args):
        out = tmp_path / 'out' / 'f.npz'
        monkeypatch.setattr('sys.argv', [
            EXTRACT, config, str(checkpoint), *map(str, args), '--out',
            str(out), *OPTIONS])
        extract_features.main()
        with np.load(out) as file:
            return {name: file[name] for name in file.files}

    monkeypatch.chdir(extract_features.__file__.rpartition('/tools/')[0])
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    return call


def test_a_split(run_tool, checkpoint, tmp_path):
    out = tmp_path / 'val.npz'
    done = run_tool(EXTRACT, LINEAR, checkpoint, '--split', 'val', '--out',
                    out, '--readout', 'joint_std', *OPTIONS)
    line = (f'{out}: features ({NUM_VAL}, 800), {NUM_VAL} of {NUM_VAL} rows '
            'with a label, read-out joint_std')
    assert done.stdout.strip().splitlines()[-1] == line
    assert "weights under 'target.teacher.module.'" in done.stdout
    with np.load(out) as file:
        assert file['features'].shape == (NUM_VAL, 2 * 25 * 16)
        assert file['labels'].tolist() == [
            i % 3 for i in range(NUM_TRAIN, NUM_TRAIN + NUM_VAL)]
        meta = json.loads(str(file['meta']))
    assert meta['split'] == 'xsub_val' and meta['readout'] == 'joint_std'


def test_inputs_and_the_same_split_agree(call, skel_data):
    train = call(PRETRAIN, '--split', 'train')
    every = call(PRETRAIN, skel_data / 'demo_3d.pkl', '--batch-size', 5)
    np.testing.assert_allclose(
        every['features'][:NUM_TRAIN], train['features'], atol=1e-5)
    np.testing.assert_array_equal(every['names'][:NUM_TRAIN], train['names'])


def test_persons_of_the_student(call, tmp_path):
    np.save(tmp_path / 'walk.npy', make_clip(0, 2))
    rows = call(PRETRAIN, tmp_path / 'walk.npy', '--per-person')
    tokens = call(PRETRAIN, tmp_path / 'walk.npy', '--readout', 'tokens')
    student = call(PRETRAIN, tmp_path / 'walk.npy', '--weights', 'student',
                   '--per-person')
    assert rows['features'].shape == (2, 16) and 'labels' not in rows
    np.testing.assert_allclose(
        tokens['features'].mean((1, 2)), rows['features'], atol=1e-5)
    assert np.abs(rows['features'] - student['features']).max() > 1e-3


@pytest.mark.parametrize('args, error, message', [
    ([], SystemExit, '2'),
    (['walk.npy', '--split', 'val'], SystemExit, '2'),
    (['--split', 'val'], ValueError, 'no val_dataloader'),
    (['gone.npy'], FileNotFoundError, 'gone.npy'),
])
def test_refused(call, args, error, message):
    with pytest.raises(error, match=message):
        call(PRETRAIN, *args)


def test_bad_files_are_left_out(call, tmp_path):
    (tmp_path / 'in').mkdir()
    np.save(tmp_path / 'in' / 'good.npy', make_clip(0))
    np.save(tmp_path / 'in' / 'none.npy', make_clip(0) * np.nan)
    found = call(PRETRAIN, tmp_path / 'in', '--skip-bad')
    assert found['names'].tolist() == ['good']
    with pytest.raises(SystemExit):
        call(PRETRAIN, '--split', 'val', '--skip-bad')
