# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features are found again by what they were made of, and only then."""
import copy
import hashlib
import logging
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from skel_ssl.evaluation.feature_cache import (
    FeatureCache,
    hash_file,
    hash_object,
    hash_weights,
)
from skel_ssl.evaluation.features import FeatureSet

KEY = dict(weights='a', data='b', readout='mean')


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return FeatureSet(
        features=rng.normal(size=(4, 3)).astype(np.float32),
        labels=np.arange(4),
        names=np.array(['w', 'x', 'y', 'clip-ü']),
        subjects=np.array(['P001', '', 'P002', '']),
        recordings=np.array(['', '0002', '', '']),
        num_persons=np.array([1, 2, 1, 0]))


@pytest.fixture
def warnings(monkeypatch):
    found = []

    def print_log(text, logger=None, level=logging.INFO):
        assert level == logging.WARNING
        found.append(text)

    monkeypatch.setattr('skel_ssl.evaluation.feature_cache.print_log',
                        print_log)
    return found


def test_what_goes_in_comes_out(tmp_path, features, warnings):
    cache = FeatureCache(tmp_path / 'new' / 'folder')
    assert cache.load(KEY) is None
    cache.save(KEY, features)
    found = cache.load(dict(reversed(KEY.items())))
    for name, value in vars(features).items():
        assert np.array_equal(getattr(found, name), value)
    assert found.features.dtype == np.float32
    assert [p.suffix for p in cache.folder.iterdir()] == ['.npz']
    assert not warnings


@pytest.mark.parametrize('name', KEY)
def test_another_key_is_another_file(tmp_path, features, name):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, features)
    assert cache.load({**KEY, name: 'other'}) is None


def test_features_of_other_weights_under_our_name(tmp_path, features,
                                                  warnings):
    """Someone renamed a file, or two digests met."""
    cache = FeatureCache(tmp_path)
    other = {**KEY, 'weights': 'other'}
    cache.save(other, features)
    shutil.move(cache.path(other), cache.path(KEY))
    assert cache.load(KEY) is None
    (text, ) = warnings
    assert 'is of another weights; it is made anew' in text


@pytest.mark.parametrize('damage', [
    lambda b: b[:len(b) // 2],
    lambda b: b'',
    lambda b: b'\x80\x04]',
    lambda b: b[:60] + bytes(40) + b[100:],
])
def test_a_damaged_file_is_made_anew(tmp_path, features, warnings, damage):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, features)
    path = cache.path(KEY)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.load(KEY) is None
    (text, ) = warnings
    assert 'cannot be read' in text
    cache.save(KEY, features)
    assert cache.load(KEY) is not None


def test_a_save_that_fails_leaves_nothing(tmp_path, features, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.save(KEY, features)

    def full(*args, **kwargs):
        args[0].write(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(np, 'savez', full)
    with pytest.raises(OSError, match='no space'):
        cache.save(KEY, features)
    assert [p.name for p in tmp_path.iterdir()] == [cache.path(KEY).name]
    assert cache.load(KEY) is not None


def test_weights_have_a_hash():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    digest = hash_weights(model)
    same = copy.deepcopy(model)
    assert hash_weights(same) == digest
    with torch.no_grad():
        same[0].bias[0] += 1e-6
    assert hash_weights(same) != digest
    other = copy.deepcopy(model)
    other[1].running_mean += 1  # a buffer
    assert hash_weights(other) != digest


def test_files_have_a_hash(tmp_path):
    content = bytes(range(256)) * 9000  # more than a block
    path = tmp_path / 'x'
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()


def test_configs_have_a_hash():
    assert hash_object(dict(a=1, b=[2])) == hash_object(dict(b=[2], a=1))
    assert hash_object(dict(a=1)) != hash_object(dict(a=2))


def test_a_layout_counts_by_what_is_in_its_file(tmp_path):
    path = tmp_path / 'body.json'
    config = dict(pipeline=[dict(type='PoseGenSkeFeat', layout=str(path))])
    found = [hash_object(config)]  # no file yet: the text
    for text in ('{"bones": []}', '{"bones": [[1, 0]]}', '{"bones": []}'):
        path.write_text(text)
        found.append(hash_object(config))
    assert len(set(found)) == 3 and found[1] == found[3]
    moved = path.rename(tmp_path / 'other.json')
    config['pipeline'][0]['layout'] = str(moved)
    assert hash_object(config) == found[1]
