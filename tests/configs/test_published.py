# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The configs of the papers say what was published."""

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper

from skel_ssl.engine.schedulers import warmup_cosine
from skel_ssl.registry import MODELS

# Skeleton2vec, section 12 of the specification. Steps of an epoch at batch
# 128, and the length of the annealing that the public configs write down.
PUBLISHED = {
    # split, align, beta, eps, min lr, stop, total, steps, anneal
    'skel2vec_ntu60.py':
    ('xsub_train', False, .1, 1e-8, 1e-5, 600, 800, 314, 251_200),
    'skel2vec_ntu60_xview.py':
    ('xview_train', True, .1, 1e-8, 1e-5, 600, 800, 295, 236_000),
    'skel2vec_ntu120.py':
    ('xsub_train', False, .2, 1e-8, 1e-5, 600, 800, 494, 395_200),
    'skel2vec_ntu120_xset.py':
    ('xset_train', False, .2, 1e-6, 1e-5, 600, 800, 426, 340_800),
    'skel2vec_pkummd1.py':
    ('xsub_train', False, .1, 1e-8, 5e-4, 1000, 1600, 148, 118_400),
    'skel2vec_pkummd2.py':
    ('xsub_train', False, .1, 1e-8, 1e-5, 600, 800, 42, 33_600),
}


def by_type(pipeline):
    return {transform['type']: transform for transform in pipeline}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_pretraining(name, load):
    (split, align, beta, eps, min_lr, stop, total, steps,
     anneal) = PUBLISHED[name]
    cfg = load(name)
    dataset = cfg.train_dataloader.dataset
    assert dataset.split == split
    assert cfg.train_dataloader.batch_size == 128

    transforms = by_type(dataset.pipeline)
    assert list(transforms) == [
        'PosePreNormalize3D', 'PoseRandomRotate', 'GenSkeFeat',
        'PoseUniformSampleFrames', 'PoseDecode', 'FormatGCNInput',
        'MotionAwareTubeMask', 'PackActionInputs'
    ]
    normalize = transforms['PosePreNormalize3D']
    assert (normalize.align_spine, normalize.align_shoulder) == (align, align)
    assert transforms['PoseRandomRotate'].theta == .3
    assert transforms['PoseUniformSampleFrames'].clip_len == 90
    assert transforms['FormatGCNInput'].num_person == 2
    mask = transforms['MotionAwareTubeMask']
    assert mask == dict(
        type='MotionAwareTubeMask',
        patch_len=3,
        mask_ratio=.9,
        tube_len=5,
        beta=beta)

    assert cfg.train_cfg.max_epochs == stop
    schedule = cfg.param_scheduler
    assert (schedule.warmup, schedule.total) == (20, total)
    assert schedule.get('offset', 1) == 1  # (iter + 1) / iters
    optimizer = build_optim_wrapper(
        torch.nn.Linear(1, 1), {
            **cfg.optim_wrapper, 'paramwise_cfg': None
        }).optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    settings = optimizer.defaults
    assert (settings['lr'], settings['weight_decay'], settings['betas'],
            settings['eps']) == (1e-3, .05, (.9, .95), eps)
    assert settings['lr'] * schedule.eta_min_ratio == pytest.approx(min_lr)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=4.)

    hook, monitor = cfg.custom_hooks
    assert monitor == dict(type='CollapseMonitorHook')
    assert (hook.start_decay, hook.end_decay) == (.9999, 1.)
    assert hook.anneal_epochs * steps == anneal


def test_published_model(load):
    model = MODELS.build(load('skel2vec_ntu60.py').model)
    sizes = [
        sum(p.numel() for p in part.parameters())
        for part in (model, model.backbone)
    ]
    # The teacher holds the encoder only.
    assert sizes == [8_856_576 + 6_339_328, 6_339_328]
    encoder, decoder = model.backbone, model.neck
    assert (encoder.num_frames, encoder.patch_len, encoder.depth,
            encoder.embed_dims) == (90, 3, 8, 256)
    assert len(decoder.blocks) == 3
    for block in (*encoder.blocks, *decoder.blocks):
        assert block.attn.num_heads == 8
        assert block.norm1.eps == block.norm2.eps == 1e-6
        assert (block.gamma_1 == 1e-4).all() and (block.gamma_2 == 1e-4).all()
        assert block.mlp.fc1.out_features == 1024
    assert decoder.unshuffle == 'position'
    target, head = model.target, model.head
    assert (target.top_k, target.layer_norm,
            target.final_norm) == (8, 'instance', True)
    assert head.loss_name == 'mse'


# Section 13: batch and learning rate of the linear probe.
PROBES = {
    'ntu60': (256, .1),
    'ntu60_xview': (256, .1),
    'ntu120': (256, .1),
    'ntu120_xset': (256, .1),
    'pkummd1': (64, .01),
    'pkummd2': (16, .01),
}


@pytest.mark.parametrize('name', PROBES)
def test_published_probe(name, load):
    batch_size, lr = PROBES[name]
    cfg = load(f'benchmarks/linear/skel2vec_{name}.py')
    before = load(f'skel2vec_{name}.py')
    assert cfg.train_dataloader.batch_size == batch_size
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=lr, momentum=.9, weight_decay=0.)
    schedule = cfg.param_scheduler
    assert (schedule.warmup, schedule.total,
            schedule.eta_min_ratio) == (0, 100, 0)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.model.backbone == dict(before.model.backbone, frozen=True)
    # The same clips but for the mask, and no rotation in testing.
    pipelines = [
        by_type(getattr(cfg, f'{part}_dataloader').dataset.pipeline)
        for part in ('train', 'val', 'test')
    ]
    trained, val, test = pipelines
    masked = by_type(before.train_dataloader.dataset.pipeline)
    del masked['MotionAwareTubeMask']
    assert trained == masked
    del masked['PoseRandomRotate']
    assert val == masked
    assert test['PoseUniformSampleFrames'].num_clips == 10
    assert cfg.model.cls_head.average_clips == 'score'  # logits
    datasets = [cfg[f'{part}_dataloader'].dataset for part in ('train', 'val',
                                                               'test')]
    assert datasets[0].split == before.train_dataloader.dataset.split
    protocol = datasets[0].split.removesuffix('_train')
    assert [x.split for x in datasets[1:]] == [f'{protocol}_val'] * 2


# MAMP, sections 3 to 7 of its specification; MAE shares all but mask and
# target. Split, decoder depth, tau.
MAMP = {
    'ntu60': ('xsub_train', 3, .8),
    'ntu60_xview': ('xview_train', 3, .8),
    'ntu120': ('xsub_train', 5, .75),
    'ntu120_xset': ('xset_train', 5, .75),
    'pkummd1': ('xsub_train', 5, .8),
    'pkummd2': ('xsub_train', 5, .8),
}


@pytest.mark.parametrize('name', MAMP)
@pytest.mark.parametrize('method', ['mamp', 'mae'])
def test_published_mamp(method, name, load):
    split, depth, tau = MAMP[name]
    cfg = load(f'{method}_{name}.py')
    loader = cfg.train_dataloader
    assert (loader.dataset.split, loader.batch_size,
            loader.drop_last) == (split, 128, True)
    transforms = by_type(loader.dataset.pipeline)
    masks = {
        'mamp': dict(
            type='MotionAwareMask', patch_len=4, mask_ratio=.9, tau=tau),
        'mae': dict(type='RandomMask', patch_len=4, mask_ratio=.9)
    }
    mask = masks[method]
    assert list(transforms) == [
        'PosePreNormalize3D', 'PoseRandomRotate', 'GenSkeFeat',
        'PoseTemporalCropResize', 'FormatGCNInput', mask['type'],
        'PackActionInputs'
    ]
    assert transforms[mask['type']] == mask
    normalize = transforms['PosePreNormalize3D']
    assert not normalize.align_spine and not normalize.align_shoulder
    assert transforms['PoseRandomRotate'].theta == .3
    crop = transforms['PoseTemporalCropResize']
    assert (crop.clip_len, crop.p_interval) == (120, (.5, 1.))
    assert crop.get('min_frames', 64) == 64

    model = MODELS.build(cfg.model)
    assert model.head.fc.out_features == 12
    sizes = {3: 8_789_004, 5: 10_368_524}
    assert sum(p.numel() for p in model.parameters()) == sizes[depth]
    target = type(model.target).__name__
    assert target == dict(mamp='MotionTarget', mae='CoordinateTarget')[method]
    assert (model.target.normalise, model.target.patch_len) == ('patch', 4)
    for block in (*model.backbone.blocks, *model.neck.blocks):
        assert block.norm1.eps == block.norm2.eps == 1e-5
        assert block.gamma_1 is None
    assert len(model.neck.blocks) == depth

    schedule = cfg.param_scheduler
    assert (schedule.warmup, schedule.total, schedule.eta_min_ratio,
            schedule.offset) == (20, 400, .5, 0)
    assert cfg.train_cfg.max_epochs == 400
    rates = [
        1e-3 * warmup_cosine(e, 20, 400, .5)
        for e in (0, .5, 10, 20, 210, 399)
    ]
    assert rates == pytest.approx(
        [0, 2.5e-5, 5e-4, 1e-3, 7.5e-4, 5.0000854e-4], abs=1e-10)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults['betas'] == (.9, .95)
    assert 'clip_grad' not in cfg.optim_wrapper
    for group in optimizer.param_groups:
        for param in group['params']:
            # Positions and the mask token are decayed.
            assert group['weight_decay'] == (0. if param.ndim == 1 else .05)


def test_mae_and_mamp_share_every_key(load):
    models = [
        MODELS.build(load(f'{method}_ntu60.py').model)
        for method in ('mamp', 'mae')
    ]
    models[1].load_state_dict(models[0].state_dict(), strict=True)


@pytest.mark.parametrize('name, batch_size, lr', [
    ('ntu60', 256, .1),
    ('ntu60_xview', 256, .1),
    ('ntu120', 256, .1),
    ('ntu120_xset', 256, .1),
    ('pkummd1', 64, .1),
    ('pkummd2', 16, .01),
])
def test_published_mamp_probe(name, batch_size, lr, load):
    cfg = load(f'benchmarks/linear/mamp_{name}.py')
    before = load(f'mamp_{name}.py')
    assert cfg.model.backbone == dict(before.model.backbone, frozen=True)
    assert cfg.model.cls_head.norm_eps == 1e-6
    assert cfg.train_dataloader.batch_size == batch_size
    assert cfg.optim_wrapper.optimizer.lr == lr
    trained, *tested = (
        by_type(getattr(cfg, f'{part}_dataloader').dataset.pipeline)
        for part in ('train', 'val', 'test'))
    assert 'PoseRandomRotate' in trained
    for pipeline in tested:
        crop = pipeline['PoseTemporalCropResize']
        assert (crop.p_interval, crop.get('num_clips', 1)) == ((.95, ), 1)
        assert 'PoseRandomRotate' not in pipeline


# HA-CM: our settings are those of NTU-60 X-Sub everywhere (section 10).
HACM = {
    'ntu60': ('xsub_train', 500),
    'ntu60_xview': ('xview_train', 400),
    'ntu120': ('xsub_train', 400),
    'ntu120_xset': ('xset_train', 400),
    'pkummd1': ('xsub_train', 400),
    'pkummd2': ('xsub_train', 400),
}


@pytest.mark.parametrize('name', HACM)
def test_published_hacm(name, load):
    split, epochs = HACM[name]
    cfg = load(f'hacm_{name}.py')
    loader = cfg.train_dataloader
    assert (loader.dataset.split, loader.batch_size,
            loader.drop_last) == (split, 64, True)
    transforms = by_type(loader.dataset.pipeline)
    assert list(transforms) == [
        'PosePreNormalize3D', 'PoseRandomRotate', 'GenSkeFeat',
        'PoseTemporalCropResize', 'FormatGCNInput', 'PackActionInputs'
    ]  # the mask is made in the model
    crop = transforms['PoseTemporalCropResize']
    assert (crop.clip_len, crop.p_interval) == (72, (.5, 1.))
    schedule = cfg.param_scheduler
    assert (schedule.warmup, schedule.total, schedule.eta_min_ratio,
            schedule.offset) == (20, epochs, .5, 0)
    assert cfg.train_cfg.max_epochs == epochs

    model = MODELS.build(cfg.model)
    # 9,064,535 of the public model, less 283,726 that nothing uses.
    assert sum(p.numel() for p in model.parameters()) == 8_780_809
    encoder, mask = model.backbone, model.mask_generator
    assert (encoder.num_joints, encoder.num_segments, encoder.patch_len,
            encoder.depth, len(model.neck.blocks)) == (18, 24, 3, 8, 3)
    assert encoder.token_joints.tolist() == [
        2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 24
    ]
    assert model.num_kept == (21, 21)
    assert (mask.tau, mask.null_weight, mask.distance_factor, mask.select,
            mask.legacy) == (.9, .01, 2, 'keep_high', ())
    assert (model.rec_weight, model.contrast_weight) == (1, 1)
    for block in (*encoder.blocks, *model.neck.blocks):
        assert block.norm1.eps == 1e-5 and block.gamma_1 is None
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert optimizer.defaults['betas'] == (.9, .95)
    for group in optimizer.param_groups:
        for param in group['params']:
            assert group['lr'] == 1e-3
            assert group['weight_decay'] == (0. if param.ndim == 1 else .05)


# Section 13: batch, rate, its lowest, epochs and classes of fine-tuning.
TUNED = {
    'finetune/skel2vec_ntu60.py': (48, 3e-4, 1e-5, 100, 60),
    'finetune/skel2vec_ntu60_xview.py': (48, 3e-4, 5e-6, 120, 60),
    'finetune/skel2vec_ntu120.py': (64, 3e-4, 1e-5, 100, 120),
    'finetune/skel2vec_ntu120_xset.py': (48, 1e-4, 1e-5, 100, 120),
    'finetune/skel2vec_pkummd1.py': (48, 3e-4, 1e-5, 100, 51),
    'finetune/skel2vec_pkummd2.py': (48, 3e-4, 1e-5, 100, 51),
    'semi/skel2vec_ntu60_1percent.py': (48, 3e-4, 1e-5, 100, 60),
    'semi/skel2vec_ntu60_10percent.py': (48, 3e-4, 1e-5, 100, 60),
    'transfer/skel2vec_ntu60_to_pkummd2.py': (24, 3e-4, 1e-5, 100, 51),
    'transfer/skel2vec_ntu120_to_pkummd2.py': (24, 3e-4, 1e-5, 100, 51),
    'finetune/mamp_ntu60.py': (48, 3e-4, 1e-5, 100, 60),
    'finetune/mamp_ntu120_xset.py': (48, 3e-4, 1e-5, 100, 120),
    'semi/mamp_ntu60_10percent.py': (48, 3e-4, 1e-5, 100, 60),
    'transfer/mamp_ntu60_to_pkummd2.py': (48, 3e-4, 1e-5, 100, 51),
    'finetune/hacm_ntu60.py': (48, 3e-4, 1e-5, 100, 60),
    'finetune/hacm_pkummd2.py': (8, 3e-4, 1e-5, 100, 51),
    'semi/hacm_ntu60_1percent.py': (48, 3e-4, 1e-5, 100, 60),
}


@pytest.mark.parametrize('config', TUNED)
def test_published_finetuning(config, load):
    batch_size, lr, lowest, epochs, classes = TUNED[config]
    cfg = load(f'benchmarks/{config}')
    assert cfg.train_dataloader.batch_size == batch_size
    model = MODELS.build(cfg.model)
    head = model.cls_head
    assert type(head).__name__ == 'FineTuneHead'
    joints = 18 if 'hacm' in config else 25
    assert (head.fc1.in_features, head.fc1.out_features,
            head.fc2.out_features) == (256 * joints, 2048, classes)
    assert (head.dropout.p, head.label_smooth_eps,
            head.average_clips) == (.3, .1, 'score')
    # Without drop path there is no module of that kind.
    rates = [
        getattr(block.drop_path, 'drop_prob', 0.)
        for block in model.backbone.blocks
    ]
    np.testing.assert_allclose(rates, np.linspace(0, .3, 8), atol=1e-7)

    schedule = cfg.param_scheduler
    assert (schedule.warmup, schedule.total) == (5, epochs)
    assert cfg.train_cfg.max_epochs == epochs
    assert lr * schedule.eta_min_ratio == pytest.approx(lowest)
    # Skeleton2vec counts the step before it sets the rate: (i + 1) / n.
    assert schedule.offset == int('skel2vec' in config)
    found = [
        lr * warmup_cosine(i / 10, schedule.warmup, schedule.total,
                           schedule.eta_min_ratio)
        for i in (0, 1, 50, 10 * epochs)
    ]
    assert found == pytest.approx([0, lr / 50, lr, lowest])

    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults['betas'] == (.9, .999)
    assert 'clip_grad' not in cfg.optim_wrapper
    names = {id(p): name for name, p in model.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for param in group['params']:
            name = names[id(param)]
            seen.add(name)
            layer = published_layer(name)
            if 'skel2vec' not in config and name.startswith(
                    'backbone.norm.'):
                layer = 9  # with the head
            assert group['lr'] == pytest.approx(lr * .8**(9 - layer)), name
            free = param.ndim == 1 or 'pos_embed' in name
            assert group['weight_decay'] == (0. if free else .05), name
    assert seen == set(names.values())
    # Each of the ten layers has parameters with and without weight decay.
    assert len(optimizer.param_groups) == 20


def published_layer(name):
    """Ids of Skeleton2vec's public code, section 13: embeddings 0, block i
    i + 1, the final norm 8, the head 9."""
    part, kind, number = name.split('.')[:3]
    if part == 'cls_head':
        return 9
    layers = {'joint_embed': 0, 'pos_embed': 0, 'norm': 8}
    return layers[kind] if kind in layers else int(number) + 1


def test_light_head_and_scratch(load):
    light = load('benchmarks/finetune/skel2vec_ntu60_light.py')
    assert light.model.cls_head.type == 'LinearProbeHead'
    assert not light.model.backbone.get('frozen', False)
    heavy = load('benchmarks/finetune/skel2vec_ntu60.py')
    assert light.optim_wrapper == heavy.optim_wrapper
    for name in ('ntu60', 'nwucla'):
        scratch = load(f'benchmarks/finetune/skel2vec_{name}_scratch.py')
        tuned = load(f'benchmarks/finetune/skel2vec_{name}.py')
        assert scratch.optim_wrapper.paramwise_cfg.layer_decay_rate == 1
        tuned.optim_wrapper.paramwise_cfg.layer_decay_rate = 1.
        for part in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg',
                     'train_dataloader'):
            assert scratch[part] == tuned[part]


def test_weight_decay_of_the_published_groups(load):
    cfg = load('skel2vec_ntu60.py')
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decay = {
        id(param): group['weight_decay']
        for group in optimizer.param_groups for param in group['params']
    }
    trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
    assert set(decay) == {id(p) for p in trained.values()}
    free = {name for name, p in trained.items() if decay[id(p)] == 0}
    positions = {
        f'{part}.pos_embed.{axis}'
        for part in ('backbone', 'neck') for axis in ('spatial', 'temporal')
    }
    assert free == positions | {k for k, p in trained.items() if p.ndim == 1}
    assert {decay[id(p)] for k, p in trained.items() if k not in free} == {.05}
    assert decay[id(model.neck.mask_token)] == .05
