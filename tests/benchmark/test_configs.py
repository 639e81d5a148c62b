# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The suites of the repository can run, and so can supervised configs."""
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from skel_ssl.benchmark.configs import data_of, read_config
from skel_ssl.benchmark.costs import clip_shape, count_costs
from skel_ssl.benchmark.stages import plan
from skel_ssl.benchmark.suite import load_suite
from skel_ssl.datasets.layouts import get_layout
from skel_ssl.registry import MODELS
from tests.configs.conftest import CONFIGS, DATA, data  # noqa: F401

SUITES = sorted(CONFIGS.glob('benchmarks/suites/*.py'))
SUPERVISED = sorted(CONFIGS.glob('benchmarks/supervised/*.py'))


@pytest.fixture(autouse=True)
def _all_data(_root, data, monkeypatch):  # noqa: F811
    monkeypatch.setenv('SKEL_DATA', str(data))
    init_default_scope('mmaction')


@pytest.mark.parametrize('path', SUITES, ids=lambda path: path.stem)
def test_a_suite_can_run(path):
    """Its configs, their settings, and the splits of its tests are there."""
    suite = load_suite(path)
    stages = plan(suite)
    assert all(stages.values())
    kinds = {method.kind for method in suite.methods}
    wanted = dict(finding={'method'})
    assert kinds == wanted.get(path.stem, {'floor', 'method', 'ceiling'})
    assert len(suite.seeds) == (1 if path.stem == 'tuning' else 3)


def test_tuning_holds_subjects_out():
    suite = load_suite(CONFIGS / 'benchmarks/suites/tuning.py')
    method = suite.method('mamp_lr2e3')
    scratch = suite.method('scratch_1e3')
    everybody = set()
    for fold in suite.datasets:
        pretrain, frozen = (
            read_config(method.config(part, fold), method.settings(part, fold))
            for part in ('pretrain', 'frozen'))
        assert pretrain.optim_wrapper.optimizer.lr == 2e-3
        kept = set(pretrain.train_dataloader.dataset.subjects)
        assert kept == set(frozen.train_dataloader.dataset.subjects)
        held_out = set(frozen.val_dataloader.dataset.subjects)
        assert not kept & held_out and len(kept | held_out) == 10
        finetune = read_config(
            scratch.config('finetune', fold),
            scratch.settings('finetune', fold))
        assert finetune.optim_wrapper.optimizer.lr == 1e-3
        assert set(finetune.train_dataloader.dataset.subjects) == kept
        assert set(finetune.test_dataloader.dataset.subjects) == held_out
        everybody |= held_out
        assert fold.tests == dict(held_out=('xview_clean_train', ))
    assert len(everybody) == 10


def test_the_published_variants_change_what_they_name():
    """Models that differ in the placement of latents, and in nothing else."""
    suite = load_suite(CONFIGS / 'benchmarks/suites/finding.py')
    nwucla, = suite.datasets
    models = {
        method.name: read_config(
            method.config('pretrain', nwucla),
            method.settings('pretrain', nwucla))
        for method in suite.methods
    }
    for name, cfg in models.items():
        assert cfg.model.neck.type == 'TransformerDecoder', name
        assert cfg.model.query_ratio == 1, name
    public = models['skel2vec_published']
    mask = public.train_dataloader.dataset.pipeline[8]
    assert mask.type == 'MotionAwareTubeMask' and mask.pop('return_rank')
    assert public.model.neck.pop('unshuffle') == 'reference'
    public = models['hacm_published']
    assert public.model.mask_generator.pop('legacy_order')
    assert public.model.neck.pop('unshuffle') == 'rank'
    for name in ('skel2vec', 'hacm'):
        assert (models[f'{name}_published'].to_dict() ==
                models[f'{name}_repaired'].to_dict())


@pytest.mark.parametrize('path', SUPERVISED, ids=lambda path: path.stem)
def test_supervised(path, tmp_path):
    """Trains, validates and tests on clips of the joints of its data."""
    cfg = Config.fromfile(path)
    joints, _, _, classes = DATA[data_of(
        cfg, 'train_dataloader')['ann_file'].rpartition('/')[2]]
    assert clip_shape(cfg)[2] == joints
    assert cfg.model.cls_head.num_classes == classes
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].update(
            num_workers=0, persistent_workers=False, batch_size=2)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir = cfg.experiment_name = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert set(runner.test()) >= {'acc/top1', 'acc/mean1'}


def test_the_graph_of_a_config_is_that_of_the_layout():
    cfg = Config.fromfile(CONFIGS / 'benchmarks/supervised/stgcnpp_nwucla.py')
    graph = cfg.model.backbone.graph_cfg.layout
    layout = get_layout('kinect20')
    assert graph.num_node == layout.num_joints
    assert tuple(map(tuple, graph.inward)) == layout.bones == layout.edges


def test_costs_of_a_method():
    def part(config):
        return dict(config=f'configs/{config}', options={})

    found = count_costs(dict(
        pretrain=part('mae_nwucla.py'),
        finetune=part('benchmarks/finetune/mamp_nwucla.py'),
        frozen=part('benchmarks/linear/mamp_nwucla.py')))
    cfg = Config.fromfile('configs/benchmarks/linear/mamp_nwucla.py')
    encoder = sum(p.numel() for p in MODELS.build(
        cfg.model.backbone).parameters())
    assert found['parameters']['encoder'] == encoder
    assert found['parameters']['pretrain'] > encoder
    # 160 tokens of 64 channels, three blocks: 2 (4 * 64^2 + 2 * 64 * 256)
    # operations a token, and 2 * 2 * 160 * 64 of attention; then the
    # embedding of 12 numbers, and the head, 20 * 64 to 256 to 10.
    blocks = 3 * 160 * (2 * (4 * 64**2 + 2 * 64 * 256) + 2 * 2 * 160 * 64)
    rest = 160 * 2 * 12 * 64 + 2 * (20 * 64 * 256 + 256 * 10)
    assert found['flops']['inference'] == blocks + rest
    # Forward and backward of a tenth of the tokens, and of the decoder.
    assert 0 < found['flops']['pretrain'] < 3 * found['flops']['inference']
    scratch = count_costs(dict(
        finetune=part('benchmarks/supervised/stgcnpp_demo.py')))
    assert list(scratch['parameters']) == ['encoder', 'finetune']
    assert list(scratch['flops']) == ['inference']
