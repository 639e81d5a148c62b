# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Checkpoints: loading, weights for a model, public files to convert."""
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from skel_ssl.apis.convert import RULES, convert_state_dict, place_weight
from skel_ssl.apis.convert_checkpoint import convert_checkpoint
from skel_ssl.apis.init_model import load_whole
from skel_ssl.apis.pretrained import load_pretrained
from skel_ssl.apis.weights import read_weights
from skel_ssl.utils.checkpoint_loading import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    load_from_local,
)

from . import evil
from .common import JUNK, cuts, damaged, examples, outcome, write

pytestmark = pytest.mark.usefixtures('either_loader')
ERRORS = (ValueError, DamagedCheckpointError, UnsafeCheckpointError)
MODEL = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def saved(content, new=True):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


CHECKPOINT = dict(state_dict=MODEL.state_dict(), meta=dict(
    epoch=3, dataset_meta=dict(classes=['a', 'b'])))
WHOLE = {new: saved(CHECKPOINT, new) for new in (True, False)}


def load(path):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    for read in (lambda: load_whole(model, path),
                 lambda: (load_pretrained(model, path), ),
                 lambda: read_weights(path)):
        outcome(lambda: (read(), ), ERRORS, naming=path.name)  # noqa: B023
    outcome(lambda: convert_checkpoint(path), ERRORS, naming=path.name)


@pytest.mark.parametrize('new', [True, False])
def test_cut_off(tmp_path, new):
    for content in cuts(WHOLE[new], 25):
        path = write(tmp_path / 'x.pth', content)
        with pytest.raises(DamagedCheckpointError, match='x.pth'):
            load_from_local(str(path))


@examples(60)
@given(st.one_of(st.binary(max_size=60), damaged(b'PK\x03\x04' + bytes(30)),
                 damaged(pickle.dumps(CHECKPOINT['meta']))))
@example(b'')
@example(b'<!DOCTYPE html>')
@example(pickle.dumps(dict(a=1)))
def test_other_bytes(tmp_path, content):
    path = write(tmp_path / 'x.pth', content)
    outcome(lambda: load_from_local(str(path)), ERRORS, naming='x.pth')


TENSORS = st.sampled_from([
    torch.ones(2, 3), torch.zeros(0), torch.tensor(5), torch.ones(3).half(),
    torch.ones(2, 2, dtype=torch.complex64), torch.full((3, ), np.nan),
    torch.ones(1).expand(10**9), torch.eye(2).to_sparse(),
    torch.empty(3, device='meta'), torch.ones(2, dtype=torch.bool)])
NAMES = st.one_of(st.text(max_size=5), st.sampled_from(
    ['0.weight', '0.bias', 'backbone.0.weight', 'target.teacher.module.a',
     'cls_head.fc.weight', 'joints_embed.proj.weight', 'mask_token',
     'encoder_embedding.projection.1.weight', 'blocks.0.attn.qkv.weight',
     'encoder.layers.0.attn.queries.weight', 'norm.weight', 'pos_embed',
     'temp_embed', 'blocks.0.mlp.fc1.weight', 'encoder_norm.weight']),
    st.integers(0, 3))
WEIGHTS = st.dictionaries(NAMES, st.one_of(TENSORS, TENSORS, JUNK), max_size=5)
CONTENT = st.one_of(
    WEIGHTS, TENSORS, JUNK, st.dictionaries(
        st.sampled_from(['state_dict', 'model', 'meta', 'epoch', 'sd']),
        st.one_of(WEIGHTS, WEIGHTS.map(lambda x: dict(sd=x)), JUNK)))


@examples(80)
@given(CONTENT)
@example({})
@example([])
@example(5)
@example(dict(state_dict={}))
@example(dict(state_dict=None))
@example(dict(state_dict={0: torch.ones(2)}))
@example(dict(state_dict=CHECKPOINT['state_dict'], meta=5))
@example(dict(model={0: torch.ones(2)}))
@example(dict(model={'joints_embed.proj.weight': torch.eye(2).to_sparse()}))
@example(dict(model={'joints_embed.proj.weight':
                     torch.ones(1).expand(10**12)}))
@example({'norm.weight': torch.ones(0), 'joints_embed.proj.weight':
          torch.ones(0, 3, 4, 1)})
@pytest.mark.filterwarnings('ignore')
def test_content_of_any_kind(tmp_path, content):
    try:
        whole = saved(content)
    except (NotImplementedError, RuntimeError, UnicodeError):
        return  # not even torch writes it
    load(write(tmp_path / 'x.pth', whole))


def test_what_is_written_is_read(tmp_path):
    for content in WHOLE.values():
        path = write(tmp_path / 'x.pth', content)
        weights, meta = read_weights(path)
        assert meta == CHECKPOINT['meta'] and all(
            torch.equal(weights[name], value)
            for name, value in MODEL.state_dict().items())
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        assert load_whole(model, path) == meta
        assert torch.equal(model[0].weight, MODEL[0].weight)


def rewritten(content, body):
    """A checkpoint in the new format with another pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(
            buffer, 'w') as new:
        for name in old.namelist():
            data = body if name.endswith('data.pkl') else old.read(name)
            new.writestr(name, data)
    return buffer.getvalue()


def evil_files(marker):
    """(which, content, whether the whole file was pickled by torch)."""
    for name, call in evil.calls(marker).items():
        try:
            pickle.dumps(call, 2)
        except TypeError:
            continue
        yield f'{name}, zip', saved(dict(CHECKPOINT, more=call))
        yield f'{name}, legacy', saved(dict(CHECKPOINT, more=call), False)
        yield f'{name}, plain', pickle.dumps(dict(CHECKPOINT, more=call))
    for name, body in (*evil.opcodes(marker), *evil.false_arrays()):
        # torch takes the room before it looks, and knows all codecs
        if 'terabytes' in name or 'of a number' in name or 'codec' in name:
            continue
        whole = b'\x80\x02' + body + b'.'
        yield f'{name}, zip', rewritten(WHOLE[True], whole)
        yield f'{name}, plain', whole


def test_evil_files_are_refused(tmp_path):
    marker = tmp_path / 'marker'
    for name, content in evil_files(marker):
        path = write(tmp_path / 'x.pth', content)
        for read in (lambda: load_from_local(str(path)),  # noqa: B023
                     lambda: read_weights(path),  # noqa: B023
                     lambda: convert_checkpoint(path)):  # noqa: B023
            assert outcome(read, ERRORS) is None, name
            assert not marker.exists(), name


@pytest.mark.parametrize('size', [64, 1 << 24])
def test_an_array_stays_as_long_as_its_content(tmp_path, size):
    body = b'\x80\x02' + evil.stretched_array(size) + b'.'
    path = write(tmp_path / 'x.pth', rewritten(WHOLE[True], body))
    array, _ = load_from_local(str(path))
    assert array.tobytes() == b'A' * 8


def test_with_the_users_word(tmp_path, monkeypatch):
    monkeypatch.setenv('SKEL_SSL_TRUST_CHECKPOINT', '1')
    for new in (True, False):
        marker = tmp_path / f'marker {new}'
        call = evil.Calls(open, str(marker), 'w')
        path = write(tmp_path / 'x.pth', saved(dict(CHECKPOINT, more=call),
                                               new))
        weights, _ = read_weights(path)
        assert marker.exists() and torch.equal(weights['0.bias'],
                                               MODEL[0].bias)


SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@examples(80)
@given(st.sampled_from(sorted(RULES)), st.dictionaries(
    st.sampled_from([
        'pos_embed', 'temp_embed', 'norm.weight', 'joints_embed.proj.weight',
        'blocks.0.mlp.fc1.weight', 'blocks.0.attn.qkv.weight', 'mask_token',
        'decoder_embed.weight', 'decoder_pred.weight', 'decoder_temp_embed',
        'mask_token_t', 'head.fc.weight', 'encoder_norm.weight',
        'encoder_embedding.projection.1.weight', 'mask_token_emb',
        'encoder_embedding.spatio_pos_emb', 'encoder_embedding.temporal_pos'
        '_emb', 'encoder.layers.0.attn.queries.weight',
        'encoder.layers.0.mlp.fc1.weight', 'cls_head.4.weight',
        'auto_encoder.encoder_norm.weight', 'ema.model.encoder_norm.weight',
        'nobody']), SHAPES.map(torch.ones), max_size=14))
@example('mamp', {'norm.weight': torch.ones(0), 'joints_embed.proj.weight':
                  torch.ones(0, 3, 4, 1), 'pos_embed': torch.ones(1, 1, 3, 0),
                  'temp_embed': torch.ones(1, 2, 1, 0),
                  'blocks.0.mlp.fc1.weight': torch.ones(0, 0)})
@example('mamp', {'norm.weight': torch.ones(10**6),
                  'joints_embed.proj.weight': torch.ones(1, 3, 4, 1),
                  'pos_embed': torch.ones(1, 1, 25, 1),
                  'temp_embed': torch.ones(1, 30, 1, 1),
                  'blocks.0.mlp.fc1.weight': torch.ones(10**6, 1)})
@example('hacm', {'decoder_temp_embed': torch.ones(3)})
@example('skeleton2vec', {'encoder_embedding.spatio_pos_emb': torch.ones(3)})
def test_public_weights_of_any_shape(tmp_path, source, weights):
    for name in weights:
        place_weight(name, source)
    outcome(lambda: (convert_state_dict(weights, source), ))
    path = write(tmp_path / 'x.pth', saved(dict(model=weights)))
    outcome(lambda: convert_checkpoint(path), ERRORS, naming='x.pth')
