# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The export command on configs of the repository."""
import numpy as np
import onnxruntime
import pytest
import torch
from packaging.version import Version

from skel_ssl.apis import init_model, load_for_export
from skel_ssl.apis.export import random_clips
from skel_ssl.models.ops.pooling import pool_tokens
from tests.tools.conftest import PRETRAIN, ROOT, TINY_PRETRAIN, load_weights

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.6'),
    reason='the exporter of this torch is too old')
TOOL = 'tools/deployment/export_onnx.py'
LINEAR = 'configs/benchmarks/linear/mamp_nwucla.py'


def save_untrained(config, path):
    """A checkpoint of a config's model, not trained."""
    torch.manual_seed(1)
    model = init_model(ROOT / config, device='cpu')
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value)
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return model


def outputs(path, clips):
    session = onnxruntime.InferenceSession(path)
    names = [o.name for o in session.get_outputs()]
    return names, session.run(None, dict(keypoint=clips))[0]


def test_a_linear_probe_on_100_clips(run_tool, tmp_path):
    checkpoint, out = tmp_path / 'probe.pth', tmp_path / 'probe.onnx'
    model = save_untrained(LINEAR, checkpoint)
    done = run_tool(TOOL, LINEAR, checkpoint, '--out', out, COLUMNS='120')
    assert "('batch', 1, 32, 20, 3)" in done.stdout
    assert "scores ('batch', 10)" in done.stdout
    assert '100 clips' in done.stdout
    rng = np.random.default_rng(5)
    num_clips = 0
    for size in (1, 2, 3, 7, 16, 33, 38):
        clips = random_clips(size, (1, 32, 20, 3), rng)
        names, got = outputs(out, clips)
        with torch.no_grad():
            expected, _ = model.extract_feat(
                torch.from_numpy(clips)[:, None], stage='head')
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-4)
        num_clips += size
    assert (names, num_clips) == (['scores'], 100)


def test_features_of_a_pre_training(run_tool, pretrained, tmp_path):
    out = tmp_path / 'encoder.onnx'
    options = [x for x in TINY_PRETRAIN if x.startswith('model.')]
    run_tool(TOOL, PRETRAIN, pretrained, '--out', out, '--features', 'mean',
             '--cfg-options', *options)
    source = load_for_export(
        ROOT / PRETRAIN,
        pretrained,
        features='mean',
        cfg_options=read_options(options))
    # the teacher is what is taken
    weights = load_weights(pretrained)
    own = source.backbone.state_dict()
    for name in own:
        assert own[name].equal(weights[f'target.teacher.module.{name}'])
    clips = random_clips(9, source.shape, np.random.default_rng(5))
    assert clips.shape == (9, 2, 32, 25, 3)
    names, got = outputs(out, clips)
    with torch.no_grad():
        expected = pool_tokens(source.backbone(torch.from_numpy(clips)))
    assert names == ['features']
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-4)


def read_options(options):
    return {k: int(v) for k, _, v in (x.partition('=') for x in options)}


@pytest.mark.parametrize('config, shape', [
    ('configs/benchmarks/linear/mamp_ntu60.py', (2, 120, 25, 3)),
    ('configs/benchmarks/linear/hacm_ntu60.py', (2, 72, 25, 3)),
    ('configs/benchmarks/linear/skeletonmae_nwucla.py', (1, 32, 20, 3)),
    ('configs/benchmarks/finetune/skeletonmae_ntu60.py', (2, 64, 17, 3)),
    ('configs/benchmarks/finetune/skeletonmae_gym.py', (1, 64, 17, 3)),
])
def test_the_input_is_that_of_the_config(tmp_path, config, shape):
    save_untrained(config, tmp_path / 'c.pth')
    source = load_for_export(ROOT / config, tmp_path / 'c.pth')
    assert source.shape == shape
    with torch.no_grad():
        assert source.backbone(torch.randn(1, *shape)).shape[0] == 1


def test_softmax_and_tokens(tmp_path):
    model = save_untrained(LINEAR, tmp_path / 'c.pth')
    clips = torch.randn(2, 1, 32, 20, 3)
    source = load_for_export(ROOT / LINEAR, tmp_path / 'c.pth', softmax=True)
    with torch.no_grad():
        tokens = source.backbone(clips)
        chances = source.head.eval()(tokens)
        expected = model.cls_head(tokens).softmax(-1)
    torch.testing.assert_close(chances, expected)
    source = load_for_export(
        ROOT / LINEAR, tmp_path / 'c.pth', features='tokens')
    assert source.head(tokens) is tokens
    assert source.output_name == 'features'


def test_faults(run_tool, tmp_path):
    config = 'configs/mamp_nwucla.py'
    save_untrained(config, tmp_path / 'pre.pth')
    with pytest.raises(
            ValueError,
            match='MaskedSkeletonModel without '
            'classes.*--features mean'):
        load_for_export(ROOT / config, tmp_path / 'pre.pth')
    save_untrained('configs/benchmarks/knn/mamp_nwucla.py',
                   tmp_path / 'knn.pth')
    with pytest.raises(ValueError, match='RecognizerGCN without classes'):
        load_for_export(ROOT / 'configs/benchmarks/knn/mamp_nwucla.py',
                        tmp_path / 'knn.pth')
    with pytest.raises(ValueError, match="no features='all'"):
        load_for_export(ROOT / config, tmp_path / 'pre.pth', features='all')
    with pytest.raises(ValueError, match='goes with features'):
        load_for_export(
            ROOT / LINEAR, tmp_path / 'pre.pth', pretrained_prefix='backbone.')
    # as a user sees it: weights of a pre-training in a recognizer
    out = tmp_path / 'x.onnx'
    done = run_tool(TOOL, LINEAR, tmp_path / 'pre.pth', '--out', out, code=1)
    assert 'cls_head.fc.weight' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.glob('*.onnx*'))
