# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Published checkpoints: small, safe, named after their content."""
import hashlib
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from skel_ssl.apis.pretrained import load_pretrained
from skel_ssl.registry import MODELS
from tools.converters import publish_model

TOOL = 'tools/converters/publish_model.py'


def encoder_weights(seed):
    torch.manual_seed(seed)
    backbone = MODELS.build(BACKBONE)
    return {k: torch.randn_like(v) for k, v in backbone.state_dict().items()}


BACKBONE = dict(
    type='SkeletonTransformer',
    embed_dims=16,
    depth=1,
    num_heads=2,
    num_frames=6)


@pytest.fixture
def trained():
    """What MMEngine's Runner writes of a pre-training."""
    student, teacher = encoder_weights(0), encoder_weights(1)
    state = {f'backbone.{k}': v for k, v in student.items()}
    state.update({f'target.teacher.module.{k}': v for k, v in teacher.items()})
    state['neck.mask_token'] = torch.randn(1, 1, 16)
    state['target.teacher.steps'] = torch.tensor(42)
    # a view, whose storage is a thousand times as long
    state['head.fc.bias'] = torch.randn(16000)[:16]
    meta = dict(
        cfg='model = dict()',
        dataset_meta=dict(classes=('walk', 'wave'), counts=np.arange(2)),
        epoch=np.int64(3),
        iter=30,
        seed=5,
        time='now',
        experiment_name='x',
        hook_msgs=dict(best='/home/somebody/best.pth'))
    optimizer = dict(state={0: dict(exp_avg=torch.randn(50000))})
    return dict(
        meta=meta,
        state_dict=OrderedDict(state),
        optimizer=optimizer,
        param_schedulers=[dict(last_step=3)],
        message_hub=dict(
            log_scalars=dict(loss=HistoryBuffer([1., 2.], [1, 1]))))


@pytest.fixture
def main(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv('COLUMNS', '200')

    def main(checkpoint, out, *args):
        """Publish, and return the path of the file."""
        if isinstance(checkpoint, dict):
            torch.save(checkpoint, tmp_path / 'epoch_3.pth')
            checkpoint = tmp_path / 'epoch_3.pth'
        monkeypatch.setattr('sys.argv',
                            [TOOL, *map(str, (checkpoint, out, *args))])
        before = set(tmp_path.iterdir())
        publish_model.main()
        assert 'MB' in capsys.readouterr().out
        new = set(tmp_path.iterdir()) - before
        return new.pop() if new else None

    return main


def test_all_weights_and_nothing_else(main, trained, tmp_path):
    path = main(trained, tmp_path / 'model.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'model-{digest[:8]}.pth'
    loaded = torch.load(path, weights_only=True)  # nothing is allow-listed
    assert set(loaded) == {'meta', 'state_dict'}
    assert loaded['state_dict'].keys() == trained['state_dict'].keys()
    for name, value in trained['state_dict'].items():
        assert loaded['state_dict'][name].equal(value)
    meta = loaded['meta']
    assert meta['cfg'] == 'model = dict()'
    assert meta['dataset_meta'] == dict(
        classes=['walk', 'wave'], counts=[0, 1])
    assert (meta['epoch'], meta['iter'], meta['seed']) == (3, 30, 5)
    assert set(meta) == {
        'cfg', 'dataset_meta', 'epoch', 'iter', 'seed', 'skel_ssl_version'
    }
    # the weights and a few kB for names: neither Adam nor the long storage
    numbers = sum(v.numel() for v in trained['state_dict'].values())
    assert path.stat().st_size < 4 * numbers + 30000


@pytest.mark.parametrize('part, prefix',
                         [('backbone', 'backbone.'),
                          ('teacher', 'target.teacher.module.')])
def test_an_encoder_goes_downstream(main, trained, tmp_path, part, prefix):
    path = main(trained, tmp_path / 'encoder', '--part', part)
    weights = torch.load(path, weights_only=True)['state_dict']
    assert all(name.startswith('backbone.') for name in weights)
    backbone = MODELS.build(BACKBONE)
    assert load_pretrained(backbone, path).prefix == 'backbone.'
    for name, value in backbone.state_dict().items():
        assert value.equal(trained['state_dict'][prefix + name])


def test_publishing_again_changes_nothing(main, trained, tmp_path):
    path = main(trained, tmp_path / 'model.pth')
    content = path.read_bytes()
    assert main(path, path) is None  # the same name, the same bytes
    assert path.read_bytes() == content
    encoder = main(path, path, '--part', 'teacher')
    direct = main(trained, tmp_path / 'direct', '--part', 'teacher')
    assert encoder.name.startswith('model-')
    assert encoder.read_bytes() == direct.read_bytes()


def test_fp16(main, trained, tmp_path):
    path = main(trained, tmp_path / 'half.pth', '--fp16')
    weights = torch.load(path, weights_only=True)['state_dict']
    for name, value in trained['state_dict'].items():
        if name == 'target.teacher.steps':
            assert weights[name].equal(value)
        else:
            assert weights[name].equal(value.half())
    trained['state_dict']['neck.mask_token'] = torch.tensor([1e5])
    with pytest.raises(
            ValueError,
            match='epoch_3.pth: neck.mask_token is not '
            'finite in float16: publish without --fp16'):
        main(trained, tmp_path / 'half.pth', '--fp16')
    assert len(list(tmp_path.glob('half*'))) == 1


@pytest.mark.parametrize('spoil, args, message', [
    (lambda c: [
        c['state_dict'].pop(k)
        for k in list(c['state_dict']) if k.startswith('target')
    ], ['--part', 'teacher'],
     "no weights under 'target.teacher.module.', only of backbone, head, "
     'neck'),
    (lambda c: c.update(state_dict=dict(a=1)), [], "no 'state_dict' of"),
    (lambda c: c.update(state_dict={}), [], "no 'state_dict' of"),
])
def test_faults(main, trained, tmp_path, spoil, args, message):
    spoil(trained)
    with pytest.raises(ValueError, match=message):
        main(trained, tmp_path / 'x', *args)
    assert not list(tmp_path.glob('*x*'))


def test_a_real_training_is_published(run_tool, pretrained, tmp_path):
    done = run_tool(TOOL, pretrained, tmp_path / 'tiny', '--part', 'teacher')
    (path, ) = tmp_path.iterdir()
    assert f'wrote {path}' in done.stdout
    loaded = torch.load(path, weights_only=True)
    assert loaded['meta']['epoch'] == 2
    assert "type='MaskedSkeletonModel'" in loaded['meta']['cfg']
    assert path.stat().st_size < pretrained.stat().st_size / 3
