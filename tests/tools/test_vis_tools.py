# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Tools that draw: main paths as programs, the rest in this process."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

from skel_ssl.datasets.layouts import NTU25
from skel_ssl.visualization import options
from skel_ssl.visualization.samples import BodyView
from tests.tools.conftest import (
    NUM_CLASSES,
    PRETRAIN,
    ROOT,
    TINY_ENCODER,
    TINY_PRETRAIN,
)
from tools.analysis import plot_curves
from tools.visualization import (
    vis_attention,
    vis_embedding,
    vis_masks,
    vis_reconstruction,
)
from tools.visualization.vis_attention import find_token

LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
SMALL = [x for x in TINY_PRETRAIN if x.startswith('model.')]
PROBE = [*TINY_ENCODER, 'test_dataloader.num_workers=0']


@pytest.fixture
def call(monkeypatch, skel_data, tmp_path, capsys):
    """Run a tool in this process; gives its last line and its pictures."""
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    monkeypatch.chdir(ROOT)

    def call(tool, *args):
        out = tmp_path / 'pictures'
        where = ['--out', str(out)] if '--out' not in args else []
        monkeypatch.setattr('sys.argv', [
            tool.__file__, *map(str, args), *where])
        tool.main()
        line = capsys.readouterr().out.strip().splitlines()[-1]
        return line, sorted(p.name for p in out.glob('*'))

    return call


def test_masks_as_a_program(run_tool, tmp_path):
    done = run_tool('tools/visualization/vis_masks.py', PRETRAIN, '-n', 2,
                    '--num-poses', 2, '--out', tmp_path, '--cfg-options',
                    *SMALL)
    path = tmp_path / 'skel2vec_demo_masks.png'
    assert done.stdout.strip().splitlines()[-1] == f'wrote {path}'
    height = Image.open(path).height
    # In inches: the title, two clips, and two rows of a legend.
    assert height == pytest.approx(110 * (.45 + 2 * 1.72 + .4 + .17), abs=1)


@pytest.mark.parametrize('method,joints', [('hacm', 18), ('skeletonmae', 25)])
def test_masks_of_models_and_parts(call, monkeypatch, method, joints):
    seen = []
    draw = vis_masks.draw_mask
    monkeypatch.setattr(
        vis_masks, 'draw_mask', lambda *args, **kwargs: seen.append(
            (args[1].shape[1], kwargs['token_joints'])) or draw(
                *args, num_poses=1, **kwargs))
    line, names = call(vis_masks, f'configs/{method}_demo.py', '--clips',
                       'clip01', '--num-poses', 2, '--grid')
    assert line.endswith('_masks.png ... (2 pictures)')
    assert names == [f'{method}_demo_masks.png',
                     f'{method}_demo_tokens_clip01.png']
    [(tokens, chosen)] = seen
    assert tokens == joints
    assert chosen is None or len(chosen) == joints


def test_masks_differ_by_seed(call):
    def draw(seed):
        line, _ = call(vis_masks, PRETRAIN, '-n', 1, '--num-poses', 1,
                       '--seed', seed, '--cfg-options', *SMALL)
        return np.asarray(Image.open(line[len('wrote '):]))

    first = draw(0)
    np.testing.assert_array_equal(first, draw(0))
    other = draw(1)
    assert first.shape != other.shape or (first != other).any()


def test_reconstruction(call, pretrained):
    line, names = call(vis_reconstruction, PRETRAIN, pretrained, '--clips',
                       'clip03', '1', '--num-poses', 1, '--cfg-options',
                       *SMALL)
    assert line.endswith('skel2vec_demo_clip03.png ... (2 pictures)')
    assert names == ['skel2vec_demo_clip01.png', 'skel2vec_demo_clip03.png']


def test_attention(call, pretrained):
    line, [name] = call(
        vis_attention, PRETRAIN, pretrained, '-n', 1, '--num-poses', 1,
        '--block', 0, '--tokens', 'right hand', '4@1', '--cfg-options',
        *SMALL)
    assert name == 'skel2vec_demo_clip00.png' and line.endswith(name)


def test_attention_of_a_clip(pretrained):
    """Colours and rings are where the tokens are, in units of the mean."""
    cfg = options.read_config(str(ROOT / PRETRAIN), {
        'model.backbone.embed_dims': 16, 'model.backbone.depth': 2})
    backbone = vis_attention.load_backbone(cfg, str(pretrained), None)
    inputs = torch.randn(1, 2, 32, 25, 3)
    inputs[0, 1] = 0
    clip = vis_attention.read_clip(inputs, BodyView('ntu25'))
    for block in (-1, vis_attention.ROLLOUT):
        attentive = vis_attention.Attentive(backbone, NTU25, block, ['3@2'])
        _, scene = attentive.scenes(inputs, clip)
        ring = np.argwhere(scene.marks)
        assert ring.tolist() == [[0, t, 3] for t in range(8, 12)]
        heat = scene.heat.values
        assert np.isnan(heat[1]).all()
        np.testing.assert_allclose(heat[0].mean(), 1, rtol=1e-4)


def test_find_token():
    names = ['head', 'left hand']
    assert find_token('head', names, 8) == 8  # the middle segment
    assert find_token('left hand@0', names, 8) == 1
    assert find_token('1@7', names, 8) == 15
    with pytest.raises(ValueError, match=r"mean one of \['left hand'\]"):
        find_token('left hnd', names, 8)
    with pytest.raises(ValueError, match='segments are 0 to 7, not 8'):
        find_token('head@8', names, 8)


def test_embedding(call, pretrained, tmp_path):
    out = tmp_path / 'a' / 'map.png'
    line, _ = call(vis_embedding, LINEAR, pretrained, '--max-clips', 6,
                   '--out', out, '--cfg-options', *PROBE)
    assert line == f'wrote {out}' and out.is_file()


def test_pictures_of_a_test(run_tool, pretrained, tmp_path):
    done = run_tool('tools/test.py', LINEAR, '--pretrained', pretrained,
                    '--show-dir', tmp_path / 'show', '--interval', 5,
                    '--work-dir', tmp_path, '--cfg-options', *PROBE,
                    'model.cls_head.in_channels=16',
                    f'model.cls_head.num_classes={NUM_CLASSES}')
    assert f'pictures are in {tmp_path / "show"}' in done.stdout
    assert sorted(p.name for p in (tmp_path / 'show').iterdir()) == [
        '00000_clip16.png', '00005_clip21.png']


def test_curves(run_tool, tmp_path):
    for name in ('a', 'b'):
        log = tmp_path / name / '1' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps(dict(loss=1., lr=.1, step=1, iter=1)))
    out = tmp_path / 'c.png'
    done = run_tool('tools/analysis/plot_curves.py', tmp_path / 'a',
                    tmp_path / 'b', '--out', out)
    assert done.stdout.strip() == f'wrote {out}'
    assert out.is_file()


def test_names_of_runs(tmp_path):
    paths = [tmp_path / 'x' / 'run', tmp_path / 'y' / 'run']
    assert plot_curves.name_runs(paths[:1]) == ['run']
    assert plot_curves.name_runs(paths) == ['x/run', 'y/run']
    with pytest.raises(ValueError, match='given twice'):
        plot_curves.name_runs(paths[:1] * 2)


@pytest.mark.parametrize('tool,args,message', [
    (vis_masks, ('configs/none.py', ), 'there is no config'),
    (vis_masks, (LINEAR, ), 'RecognizerGCN, which hides nothing'),
    (vis_masks, (PRETRAIN, '--clips', 'clp01'), "like .'clip01'"),
    (vis_reconstruction, (PRETRAIN, 'none.pth'), 'no checkpoint'),
    (vis_attention, (PRETRAIN, 'none.pth'), 'no checkpoint'),
    (vis_embedding, (LINEAR, 'none.pth', '--out', 'a.png'), 'no checkpoint'),
    (vis_embedding, (PRETRAIN, __file__, '--out', 'a.png'),
     'backbone of a RecognizerGCN'),
    (plot_curves, ('none', '--out', 'a.png'), 'neither a scalars.json'),
])
def test_mistakes(call, tool, args, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(tool, *args)


def test_checkpoint_of_another_model(call, pretrained):
    with pytest.raises(ValueError, match='is not a checkpoint of the Masked'):
        call(vis_reconstruction, 'configs/mae_demo.py', pretrained)


def test_backbone_without_attention(call, pretrained):
    with pytest.raises(ValueError, match='has a GINEncoder as backbone'):
        call(vis_attention, 'configs/skeletonmae_demo.py', pretrained)


@pytest.mark.parametrize('tool,args,message', [
    (vis_masks, (PRETRAIN, '--num', '0'), '--num must be 1 or more'),
    (vis_attention, (PRETRAIN, 'x', '--block', 'last'), '--block last is'),
    (vis_embedding, (LINEAR, 'x', '--max-clips', '3'), '--max-clips is 5'),
    (plot_curves, ('a', '--names', 'x', 'y'), '2 --names for 1 runs'),
])
def test_arguments_that_make_no_sense(call, capsys, tool, args, message):
    with pytest.raises(SystemExit):
        call(tool, *args)
    assert message in capsys.readouterr().err
