# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""From a public file, by the command, to the recorded outputs."""
import json

import numpy as np
import pytest
import torch

from skel_ssl.apis import init_model
from skel_ssl.utils.cli import run
from tests.apis.public_files import public_file
from tests.tools.conftest import NUM_VAL, ROOT
from tools.converters import convert_checkpoint

TOOL = 'tools/converters/convert_checkpoint.py'
METHODS = ('skeleton2vec', 'mamp', 'hacm')
# The recorded models have 4 heads, and empty persons are in the averages.
RECORDED = {
    'model.backbone.num_heads': 4,
    'model.backbone.skip_empty_persons': False
}
# HA-CM: float32 at the boundary of the ball.
TOLERANCE = dict(skeleton2vec=2e-5, mamp=2e-5, hacm=5e-5)


@pytest.fixture
def main(monkeypatch, capsys):
    """The tool in this process: its exit status, and what it printed."""
    monkeypatch.setenv('COLUMNS', '400')  # no line is folded
    monkeypatch.delenv('SKEL_SSL_DEBUG', raising=False)

    def main(*args):
        monkeypatch.setattr('sys.argv', [TOOL, *map(str, args)])
        code = 0
        try:
            run(convert_checkpoint.main)
        except SystemExit as error:
            code = error.code
        capture = capsys.readouterr()
        return code, capture.out + capture.err

    return main


@pytest.fixture
def convert(main, tmp_path):
    """Convert a file's content: the written file, and what was printed."""

    def convert(content, *args):
        torch.save(content, tmp_path / 'public.pth')
        out = tmp_path / 'ours.pth'
        code, printed = main(tmp_path / 'public.pth', '--out', out, *args)
        assert code == 0, printed
        return out, printed

    return convert


def read(out):
    # safe for everybody: no list of allowed classes
    return torch.load(out, weights_only=True)


@pytest.mark.parametrize('kind', ['linear', 'finetune'])
@pytest.mark.parametrize('method', METHODS)
def test_a_converted_classifier_gives_the_recorded_logits(
        convert, method, kind):
    public = public_file(method, kind)
    out, printed = convert(public.content)
    meta = read(out)['meta']
    name = 'skel2vec' if method == 'skeleton2vec' else method
    assert meta['config'] == f'configs/benchmarks/{kind}/{name}_ntu60.py'
    assert f'next: python tools/test.py {meta["config"]} {out}' in printed
    assert ', 0 unknown' in printed
    model = init_model(
        ROOT / meta['config'],
        out,
        device='cpu',
        cfg_options={
            **meta['cfg_options'],
            **RECORDED
        })
    with torch.no_grad():
        logits, _ = model.extract_feat(public.clips[:, None], stage='head')
    np.testing.assert_allclose(
        logits.numpy(), public.expected, atol=TOLERANCE[method])


@pytest.mark.parametrize('method', METHODS)
def test_a_converted_pre_training_gives_the_recorded_features(convert, method):
    public = public_file(method, 'pretrain')
    out, printed = convert(public.content, '--source', method)
    name = 'skel2vec' if method == 'skeleton2vec' else method
    probe = f'configs/benchmarks/linear/{name}_ntu60.py'
    # the options of the next command, as a user would give them
    (line, ) = [x for x in printed.splitlines() if x.startswith('next:')]
    command, _, options = line.partition(' --cfg-options ')
    assert command == (f'next: python tools/train.py {probe} --pretrained '
                       f'{out}')
    given = dict(word.split('=') for word in options.split())
    model = init_model(
        ROOT / probe,
        device='cpu',
        pretrained=out,
        pretrained_prefix='backbone.',
        cfg_options={
            **{
                k: int(v)
                for k, v in given.items()
            },
            **RECORDED
        })
    with torch.no_grad():
        tokens = model.backbone.encode(public.clips.flatten(0, 1))
    np.testing.assert_allclose(
        tokens.numpy(), public.expected, atol=TOLERANCE[method])
    # the whole of it fits the config of the pre-training
    meta = read(out)['meta']
    whole = init_model(
        ROOT / meta['config'], device='cpu', cfg_options=meta['cfg_options'])
    missing, unexpected = whole.load_state_dict(
        read(out)['state_dict'], strict=False)
    assert not unexpected
    assert missing in ([], ['target.teacher.steps'])


def test_the_teacher_is_what_goes_downstream(convert):
    public = public_file('skeleton2vec', 'pretrain')
    out, _ = convert(public.content)
    weights = read(out)['state_dict']
    options = {
        'model.backbone.num_frames': 24,
        'model.backbone.embed_dims': 64,
        'model.backbone.depth': 4,
        **RECORDED
    }
    model = init_model(
        ROOT / 'configs/benchmarks/linear/skel2vec_ntu60.py',
        device='cpu',
        pretrained=out,
        cfg_options=options)
    own = model.backbone.state_dict()
    assert all(own[name].equal(weights[f'target.teacher.module.{name}'])
               for name in own)
    assert not own['norm.weight'].equal(weights['backbone.norm.weight'])


def test_a_converted_probe_is_tested_by_the_tool(run_tool, tmp_path):
    torch.save(public_file('mamp', 'linear').content, tmp_path / 'public.pth')
    out = tmp_path / 'ours.pth'
    done = run_tool(TOOL, tmp_path / 'public.pth', '--out', out)
    assert f'wrote {out}' in done.stdout
    meta = read(out)['meta']
    done = run_tool('tools/test.py', 'configs/benchmarks/linear/mamp_demo.py',
                    out, '--work-dir', tmp_path / 'test', '--cfg-options',
                    *(f'{k}={v}' for k, v in meta['cfg_options'].items()),
                    'test_dataloader.dataset.pipeline.1.clip_len=24',
                    'test_dataloader.num_workers=0')
    # MMEngine only warns of names that do not match
    for words in ('missing keys', 'unexpected key', 'size mismatch'):
        assert words not in done.stdout + done.stderr
    (metrics, ) = (tmp_path / 'test').glob('*/*.json')
    top1 = json.loads(metrics.read_text())['acc/top1']
    assert top1 * NUM_VAL == pytest.approx(round(top1 * NUM_VAL), abs=1e-3)


def test_what_is_printed(convert):
    content = public_file('hacm', 'pretrain').content
    out, printed = convert(content, '--dry-run')
    assert 'dry run: nothing was written' in printed
    assert not out.exists()
    words = ('91 weights: 79 converted, 12 left out, 0 unknown',
             'mask_token_s, mask_token', 'left out: a spare mask token',
             'beside the weights, left out: optimizer, epoch, scaler, args',
             '24 frames in 8 segments of 3, 18 joints of 3 coordinates',
             'width 64, 3 blocks, MLP x4, without LayerScale',
             'mask_generator.legacy_order=True', 'configs/hacm_ntu60.py')
    for word in words:
        assert word in printed, word
    out, printed = convert(
        public_file('hacm', 'linear').content, '--all-weights')
    assert 'blocks.2.attn.qkv.weight' in printed


def test_faults_end_in_one_message_and_no_file(main, tmp_path):
    content = public_file('mamp', 'pretrain').content
    content['model']['gate'] = torch.zeros(1)
    public, out = tmp_path / 'public.pth', tmp_path / 'ours.pth'
    torch.save(content, public)
    code, printed = main(public, '--out', out)
    assert code == 1
    assert f"{public}: 1 of 100 weights are not of mamp, such as ['gate']" in (
        printed)
    public.write_bytes(public.read_bytes()[:5000])
    code, printed = main(public, '--out', out)
    assert code == 1
    assert 'is truncated' in printed
    assert main(public)[0] == 2
    assert main(public, '--out', public)[0] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ['public.pth']
