# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Every config builds, takes a training step and a test step."""
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from skel_ssl.registry import MODELS
from tests.configs.conftest import CONFIGS, DATA

PRETRAIN = sorted(CONFIGS.glob('*.py'))
LINEAR = sorted(CONFIGS.glob('benchmarks/linear/*.py'))
KNN = sorted(CONFIGS.glob('benchmarks/knn/*.py'))
FINETUNE = sorted(
    path for kind in ('finetune', 'semi', 'transfer')
    for path in CONFIGS.glob(f'benchmarks/{kind}/*.py'))
# Suites are no configs of a runner, and supervised models are MMAction2's:
# tests/benchmark/test_configs.py looks at both.
ELSEWHERE = ('suites', 'supervised')
EVERY = sorted({
    *PRETRAIN,
    *(path for path in CONFIGS.glob('benchmarks/**/*.py')
      if path.parent.name not in ELSEWHERE)
})


def name_of(path):
    return str(path.relative_to(CONFIGS))


def shrink(node, width):
    """One block instead of many, and 32 channels wherever the encoder's width
    stands: what did not fit together before does not now."""
    for key, value in node.items():
        if isinstance(value, dict):
            shrink(value, width)
        elif key in ('depth', 'top_k'):
            node[key] = 1
        elif key == 'widths':
            node[key] = (32, ) * len(value)
        elif key.endswith(('_dims', '_channels')) and value == width:
            node[key] = 32


class Losses(Hook):
    """Notes the losses, what has a gradient, and what moves."""

    def before_train(self, runner):
        self.start = self.weights(runner)
        self.losses = []

        def note(*args):
            self.graded = {
                name
                for name, p in runner.model.named_parameters()
                if p.grad is not None
            }

        runner.optim_wrapper.optimizer.register_step_pre_hook(note)

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(outputs['loss'].item())

    def after_train(self, runner):
        end = self.weights(runner)
        self.moved = {k for k, v in end.items() if not v.equal(self.start[k])}

    @staticmethod
    def weights(runner):
        params = runner.model.named_parameters()
        return {name: param.detach().clone() for name, param in params}


def make_runner(cfg, work_dir):
    """The config's own runner, for one epoch of two clips."""
    shrink(cfg.model, cfg.model.backbone.embed_dims)
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        if loader is not None:
            loader.update(
                num_workers=0, persistent_workers=False, batch_size=2)
    cfg.work_dir = cfg.experiment_name = str(work_dir)
    return Runner.from_cfg(cfg)


def train(cfg, work_dir):
    cfg.train_cfg.max_epochs = 1
    if cfg.get('val_cfg') is not None:
        cfg.train_cfg.val_interval = 1
    schedule = cfg.param_scheduler
    if isinstance(schedule, dict) and schedule.get('offset', 1) == 0:
        # The MAE family's first step has a rate of 0.
        schedule.warmup = 0
    runner = make_runner(cfg, work_dir)
    spy = Losses()
    runner.register_hook(spy)
    runner.train()
    (loss, ) = spy.losses
    assert 0 < loss < 10
    return runner, spy


@pytest.mark.parametrize('path', EVERY, ids=name_of)
def test_the_full_model_is_built(path, load):
    """In its real size, and for the joints and classes of the data."""
    cfg = load(path)
    model = MODELS.build(cfg.model)
    loader = cfg.test_dataloader or cfg.train_dataloader
    joints, _, _, classes = DATA[Path(loader.dataset.ann_file).name]
    # HA-CM's tokens are the joints of the limbs.
    inputs = getattr(model.backbone, 'num_input_joints', None)
    assert (inputs or model.backbone.num_joints) == joints
    if path in LINEAR + FINETUNE:
        assert model.cls_head.num_classes == classes
        width = model.cls_head.in_channels
        encoder = model.backbone
        assert width == (encoder.out_dims if hasattr(encoder, 'out_dims') else
                         encoder.embed_dims)
    if hasattr(model, 'cls_head') and hasattr(model.cls_head, 'fc1'):
        assert (model.cls_head.fc1.in_features ==
                model.backbone.num_joints * width)
    if 'auto_scale_lr' in cfg:
        base_batch_size = cfg.auto_scale_lr.base_batch_size
        assert base_batch_size == cfg.train_dataloader.batch_size


def test_no_config_is_left_out():
    """A new kind of benchmark needs a test of its own here."""
    assert PRETRAIN and LINEAR and KNN and FINETUNE
    assert set(EVERY) == {*PRETRAIN, *LINEAR, *KNN, *FINETUNE}


@pytest.mark.parametrize('path', PRETRAIN, ids=name_of)
def test_pretraining(path, load, tmp_path):
    cfg = load(path)
    for part in ('val', 'test'):
        for item in ('dataloader', 'evaluator', 'cfg'):
            assert cfg[f'{part}_{item}'] is None
    runner, spy = train(cfg, tmp_path)
    # Every parameter has a gradient: DDP need not look for unused ones.
    assert spy.graded == {
        name
        for name, p in runner.model.named_parameters() if p.requires_grad
    }
    has_teacher = cfg.model.target.type == 'TeacherTarget'
    assert (runner.model.teacher is not None) == has_teacher
    if has_teacher:
        assert runner.model.teacher.num_updates == 1


@pytest.mark.parametrize('path', LINEAR, ids=name_of)
def test_linear_probe(path, load, tmp_path):
    cfg = load(path)
    runner, spy = train(cfg, tmp_path)
    assert spy.moved == {'cls_head.fc.weight', 'cls_head.fc.bias'}
    assert 'val/acc/top1' in runner.message_hub.log_scalars
    assert set(runner.test()) >= {'acc/top1', 'acc/top5', 'acc/mean1'}


@pytest.mark.parametrize('path', FINETUNE, ids=name_of)
def test_finetuning(path, load, tmp_path):
    cfg = load(path)
    runner, spy = train(cfg, tmp_path)
    first = {
        'SkeletonTransformer': ('joint_embed.proj', 'blocks.0.mlp.fc1'),
        'STRL': ('joint_embed', 'blocks.0.encoders.0.layers.0.fc1')
    }
    kind = cfg.model.backbone.type.removeprefix('Hyperbolic')
    assert {f'backbone.{name}.weight' for name in first[kind]} <= spy.moved
    assert any(name.startswith('cls_head.') for name in spy.moved)
    assert set(runner.test()) >= {'acc/top1', 'acc/top5', 'acc/mean1'}
    few = runner.train_dataloader.dataset.metainfo.get('few_labels')
    if path.parent.name == 'semi':
        percent = path.stem.split('_')[-1].removesuffix('percent')
        assert few['ratio'] == int(percent) / 100
        assert few['num_clips'] == 2  # one of each class at the least
    else:
        assert few is None


@pytest.mark.parametrize('path', KNN, ids=name_of)
def test_knn(path, load, tmp_path):
    cfg = load(path)
    cfg.test_evaluator.ks = (1, 2)  # the gallery has two clips
    accuracies = make_runner(cfg, tmp_path).test()
    assert {'knn/top1_k1', 'knn/top1_k2'} <= set(accuracies)
