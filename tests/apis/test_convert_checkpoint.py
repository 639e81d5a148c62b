# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Public files: whose, of what kind and size; and how they are refused."""
import os
import pickle
from dataclasses import replace

import pytest
import torch

from skel_ssl.apis import convert_checkpoint, convert_state_dict
from skel_ssl.apis.checkpoint_sizes import Sizes, build_model, match_config
from skel_ssl.utils.checkpoint_loading import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    torch_takes_names,
)
from tests.apis.public_files import public_file

METHODS = ('skeleton2vec', 'mamp', 'hacm')
KINDS = ('pretrain', 'linear', 'finetune')
NTU_ENCODER = dict(width=256, depth=8, mlp_ratio=4., coordinates=3)
MAMP = dict(
    NTU_ENCODER, joints=25, segments=30, patch_len=4, layer_scale=False)
HACM = dict(
    NTU_ENCODER, joints=18, segments=24, patch_len=3, layer_scale=False)
SKEL2VEC = dict(
    NTU_ENCODER, joints=25, segments=30, patch_len=3, layer_scale=True)
DECODER = dict(kind='pretrain', decoder_width=256)


@pytest.fixture
def saved(tmp_path):

    def saved(content, name='public.pth'):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return saved


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('method', METHODS)
def test_every_weight_is_accounted_for(saved, method, kind):
    content = public_file(method, kind).content
    done = convert_checkpoint(saved(content))
    assert (done.source, done.sizes.kind, done.epoch) == (method, kind, 7)
    weights = content['model'].get('sd', content['model'])
    assert [e.theirs for e in done.entries] == list(weights)
    assert all(bool(e.ours) != bool(e.reason) for e in done.entries)
    assert {e.ours for e in done.entries if e.ours} == set(done.state_dict)
    by_hand = convert_state_dict(weights, method)
    assert done.state_dict.keys() == by_hand.keys()
    assert all(done.state_dict[k].equal(v) for k, v in by_hand.items())
    assert {'optimizer', 'epoch'} <= set(done.beside)
    assert (done.sizes.width, done.sizes.frames) == (64, 24)
    assert done.sizes.joints == (18 if method == 'hacm' else 25)
    # decoders go with pre-training, and nothing of them elsewhere
    assert any(n.startswith('neck.') for n in by_hand) == (kind == 'pretrain')


@pytest.mark.parametrize('kind', KINDS)
def test_a_namesake_of_mamp_is_told_by_the_user(saved, kind):
    path = saved(public_file('mamp', kind).content)
    done = convert_checkpoint(path, 'mae')
    folder = dict(
        pretrain='configs/mae_ntu60.py',
        linear='configs/benchmarks/linear/mamp_ntu60.py',
        finetune='configs/benchmarks/finetune/mamp_ntu60.py')
    assert (done.source, done.config.name) == ('mae', folder[kind])


@pytest.mark.parametrize('source, sizes, config, also', [
    ('mamp', dict(MAMP, **DECODER, decoder_depth=3, target_width=12),
     'configs/mamp_ntu60.py', ('mamp_ntu60_xview', 'mae_ntu60')),
    ('mamp', dict(MAMP, **DECODER, decoder_depth=5, target_width=12),
     'configs/mamp_ntu120.py', ('mamp_pkummd1', )),
    ('mamp', dict(MAMP, kind='linear', classes=60),
     'configs/benchmarks/linear/mamp_ntu60.py', ('mamp_ntu60_xview', )),
    ('mamp', dict(MAMP, kind='linear', classes=120),
     'configs/benchmarks/linear/mamp_ntu120.py', ('mamp_ntu120_xset', )),
    ('mae', dict(MAMP, kind='finetune', classes=51, hidden=2048),
     'configs/benchmarks/finetune/mamp_pkummd1.py', ('mamp_pkummd2', )),
    ('skeleton2vec', dict(SKEL2VEC, kind='finetune', classes=60, hidden=2048),
     'configs/benchmarks/finetune/skel2vec_ntu60.py',
     ('skel2vec_ntu60_xview', )),
    ('hacm', dict(HACM, **DECODER, decoder_depth=3,
                  target_width=9), 'configs/hacm_ntu60.py', ('hacm_ntu120', )),
    ('hacm', dict(HACM, kind='finetune', classes=120, hidden=2048),
     'configs/benchmarks/finetune/hacm_ntu120.py', ('hacm_ntu120_xset', )),
])
def test_published_sizes_fit_a_config_as_it_is(source, sizes, config, also):
    match = match_config(Sizes(**sizes), source)
    assert (match.name, match.options) == (config, {})
    others = {os.path.basename(name) for name in match.also}
    assert {f'{name}.py' for name in also} <= others
    assert not any('ntu60' in n and 'ntu120' in config for n in others)


def test_the_named_config_builds_the_published_model():
    sizes = Sizes(**SKEL2VEC, **DECODER, decoder_depth=3, target_width=256)
    model = build_model(match_config(sizes, 'skeleton2vec'))
    student = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert student == 8856576


def test_other_sizes_are_settings_of_a_config():
    sizes = Sizes(**MAMP, kind='linear', classes=60)
    sizes = replace(sizes, width=128, segments=15)
    match = match_config(sizes, 'mamp')
    assert match.options == {
        'model.backbone.num_frames': 60,
        'model.backbone.embed_dims': 128,
        'model.cls_head.in_channels': 128
    }
    model = build_model(match)
    assert model.backbone.pos_embed.temporal.shape == (1, 15, 1, 128)
    with pytest.raises(
            ValueError, match='7 joints as tokens, and there is no '
            'layout'):
        match_config(
            replace(Sizes(**HACM, kind='linear', classes=60), joints=7),
            'hacm')


def spoil(content, **changes):
    """A MAMP file with other weights; None takes one away."""
    weights = {**content['model'], **changes}
    return dict(
        content, model={
            k: v
            for k, v in weights.items() if v is not None
        })


@pytest.mark.parametrize('changes, message', [
    ({
        'blocks.0.gate': torch.zeros(1)
    }, r"1 of 100 weights have no place .*, such as \['blocks.0.gate'\]"),
    ({
        'decoder_gate': torch.zeros(1)
    }, r"1 of 100 weights are not of mamp, such as \['decoder_gate'\]"),
    ({
        'blocks.2.norm1.weight': None
    }, r"no weight for \['backbone.blocks.2.norm1.weight'\] \(1 in all\)"),
    ({
        'decoder_norm.bias': None
    }, 'no weight for .*neck.norm.bias'),
    ({
        'norm.weight': None
    }, 'no weight for backbone.norm.weight'),
    ({
        'pos_embed': None
    }, 'no weight for backbone.pos_embed.spatial'),
    ({
        'blocks.1.mlp.fc2.weight': torch.zeros(64, 255)
    }, 'shapes that do not go together:\nsize mismatch for '
     'backbone.blocks.1.mlp.fc2.weight'),
    ({
        'temp_embed': torch.zeros(6, 64)
    }, r'temporal has the shape \(6, 64\) and must have 4 axes'),
    ({
        'norm.bias': torch.full((64, ), torch.nan)
    }, r"1 weights hold NaN or infinite numbers, such as \['norm.bias'\]"),
])
def test_a_spoilt_file(saved, changes, message):
    path = saved(spoil(public_file('mamp', 'pretrain').content, **changes))
    with pytest.raises(ValueError, match=message) as caught:
        convert_checkpoint(path)
    assert str(caught.value).startswith(str(path))


def test_an_attention_that_lacks_its_keys(saved):
    content = public_file('skeleton2vec', 'linear').content
    del content['model']['sd']['encoder.encoder.layers.1.attn.keys.bias']
    with pytest.raises(
            ValueError,
            match='only the queries and values that '
            'backbone.blocks.1.attn.qkv.bias'):
        convert_checkpoint(saved(content))


def test_a_probe_that_was_never_trained(saved):
    content = public_file('hacm', 'linear').content
    weights = {
        k.replace('fc.1.', 'fc.'): v
        for k, v in content['model'].items() if 'fc.0.' not in k
    }
    with pytest.raises(ValueError, match='no weight for .*cls_head.norm.run'):
        convert_checkpoint(saved(dict(content, model=weights)))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('method', METHODS)
def test_the_wrong_source(saved, method, kind):
    path = saved(public_file(method, kind).content)
    for wrong in set(METHODS) - {method}:
        with pytest.raises(
                ValueError, match=f'those of {method}, not of {wrong}'):
            convert_checkpoint(path, wrong)
    with pytest.raises(ValueError, match="no source 'moco'"):
        convert_checkpoint(path, 'moco')


@pytest.mark.parametrize('content, message', [
    (dict(state_dict={}), 'as MMEngine writes it'),
    ([torch.zeros(2)], 'holds a list where weights should be'),
    (dict(model={}), r'holds a dict of \[\] where weights should be'),
    (dict(model=dict(a=1)), r"holds a dict of \['a'\] where weights"),
    (dict(model=dict(a=torch.zeros(1))), 'of none of Skeleton2vec, MAMP'),
    (dict(model={'encoder.embedding.x': torch.zeros(1)}), 'first version'),
])
def test_files_of_others(saved, content, message):
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(saved(content))


def test_a_student_alone_and_an_encoder_alone(saved):
    sd = public_file('skeleton2vec', 'pretrain').content['model']['sd']
    student = {k: v for k, v in sd.items() if k.startswith('auto_encoder.')}
    assert convert_checkpoint(saved(student)).sizes.kind == 'pretrain'
    teacher = {k: v for k, v in sd.items() if k.startswith('ema.')}
    done = convert_checkpoint(saved(teacher))
    assert (done.sizes.kind, done.downstream) == ('encoder', None)
    assert done.config.name == 'configs/benchmarks/linear/skel2vec_ntu60.py'


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


def test_a_malicious_file_is_not_run(saved, tmp_path):
    content = public_file('mamp', 'pretrain').content
    path = saved(dict(content, args=Payload(tmp_path / 'run')))
    with pytest.raises(UnsafeCheckpointError, match='mkdir'):
        convert_checkpoint(path)
    path.write_bytes(pickle.dumps(Payload(tmp_path / 'run')))
    with pytest.raises((UnsafeCheckpointError, DamagedCheckpointError)):
        convert_checkpoint(path)
    assert not (tmp_path / 'run').exists()
    pickle.loads(path.read_bytes())  # it would have
    assert (tmp_path / 'run').exists()


def test_a_damaged_file(saved):
    path = saved(public_file('mamp', 'pretrain').content)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DamagedCheckpointError, match='truncated'):
        convert_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        convert_checkpoint(path.with_name('none.pth'))


@pytest.mark.skipif(not torch_takes_names(),
                    reason='torch < 2.6 takes no names')
def test_what_is_allowed_for_a_file_is_not_left_allowed(saved):
    before = torch.serialization.get_safe_globals()
    convert_checkpoint(saved(public_file('mamp', 'linear').content))
    after = torch.serialization.get_safe_globals()
    assert set(map(str, before)) == set(map(str, after))
