# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The front page: what it shows is run, and it stays short."""
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from skel_ssl.datasets import load_annotations
from skel_ssl.registry import HOOKS, MODELS
from tests.docs.conftest import SHORT_LOADER, run_steps, steps_of
from tests.docs.markdown import ROOT, fenced, read, section
from tests.tools.test_mmaction_project import UPSTREAM

README = read('README.md')
FEW = '--num 1 --num-poses 2'
OPTIONS = {
    'tools/data/make_sample.py': '--subjects 4 --repetitions 1',
    'tools/train.py':
    f'--cfg-options train_cfg.max_epochs=2 {SHORT_LOADER} '
    'train_dataloader.batch_size=64',
    'tools/infer.py': '--batch-size 64',
    'tools/visualization/vis_masks.py': FEW,
    'tools/visualization/vis_reconstruction.py': FEW,
    'tools/visualization/vis_attention.py': FEW,
}


def test_it_is_short():
    assert len(README.splitlines()) < 340


def test_use_it_and_see_it(workplace):
    text = section(README, 'Use it') + section(README, 'See it')
    shorter = text.replace('epoch_20', 'epoch_2')
    # The last block is a config: see below.
    *steps, config = steps_of(shorter, options=OPTIONS)
    assert '_base_' in config['python'] and len(steps) == 13
    printed = run_steps(steps, workplace)

    clips = len(load_annotations(
        workplace / 'data/skeleton/demo_3d.pkl')['annotations'])
    assert f'({clips}, 64)' in printed
    path = workplace / 'predictions/predictions.json'
    results = json.loads(path.read_text())['predictions']
    assert len(results) == clips
    for result in results[:3]:
        assert (f"{result['name']} {result['pred_name']} "
                f"{round(result['pred_score'], 2)}") in printed
    with np.load(workplace / 'demo.npz') as made:
        assert made['features'].shape == (clips, 64)
        assert made['names'].tolist() == [x['name'] for x in results]
    page = (workplace / 'work_dirs/pretrain/report.html').read_text()
    assert '</html>' in page and 'skel2vec_demo' in page
    for folder, number in [('shown', 3),
                           ('work_dirs/masks', 2), ('work_dirs', 1),
                           ('work_dirs/reconstructions', 1),
                           ('work_dirs/attention', 1),
                           ('work_dirs/embeddings', 1)]:
        pictures = sorted((workplace / folder).glob('*.png'))
        assert len(pictures) == number, folder
        assert np.ptp(np.asarray(Image.open(pictures[0]).convert('L'))) > 100


def test_the_hook_is_added_to_those_that_are_there():
    [block] = [b for b in fenced(section(README, 'See it'))
               if b.language == 'python']
    path = ROOT / 'configs/skel2vec_ntu60.py'
    text = block.text.replace('configs/skel2vec_ntu60.py', str(path))
    cfg = Config.fromstring(text, '.py')
    assert cfg.custom_hooks[:-1] == Config.fromfile(path).custom_hooks
    assert HOOKS.build(cfg.custom_hooks[-1]).interval == 10


@pytest.fixture(scope='module')
def five_lines(tmp_path_factory):
    """The lines for somebody else's config, on MMAction2's own."""
    [block] = [b for b in fenced(section(README, 'In your MMAction2 project'))
               if b.language == 'python']
    assert len(block.text.splitlines()) == 5
    folder = tmp_path_factory.mktemp('five_lines')
    text = block.text.replace('your_stgcn_config.py', str(UPSTREAM))
    text = text.replace('pretrained.pth', str(folder / 'pretrained.pth'))
    (folder / 'mine.py').write_text(text)
    return Config.fromfile(folder / 'mine.py')


def test_five_lines_in_an_mmaction2_project(five_lines):
    """They take MAMP's encoder in, resized from 120 frames to 100."""
    init_default_scope('mmaction')
    mamp = Config.fromfile(ROOT / 'configs/mamp_ntu60.py').model.backbone
    source = MODELS.build(mamp)
    source.init_weights()
    torch.save(
        dict(state_dict={
            f'backbone.{k}': v for k, v in source.state_dict().items()}),
        five_lines.weights.checkpoint)
    model = MODELS.build(five_lines.model)
    model.init_weights()
    loaded = model.backbone.state_dict()
    assert loaded.keys() == source.state_dict().keys()
    for name, value in source.state_dict().items():
        if name == 'pos_embed.temporal':
            value = F.interpolate(
                value.permute(0, 3, 1, 2), (25, 1),
                mode='bicubic').permute(0, 2, 3, 1)
        assert torch.equal(loaded[name], value), name
    assert model.backbone.norm.eps == source.norm.eps
    features, _ = model.extract_feat(torch.randn(3, 1, 2, 100, 25, 3))
    assert features.shape == (3, 2, 256, 25, 25)
    assert model.cls_head(features).shape == (3, 60)
