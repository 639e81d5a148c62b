# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The configs of graph-based SkeletonMAE say what was published."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper

from skel_ssl.registry import MODELS, PARAM_SCHEDULERS
from tests.configs.test_published import by_type

# Graph-based SkeletonMAE, sections 1, 7 and 9 of its specification: splits,
# classes, persons.
GRAPHS = {
    'gym': ('train', 'val', 99, 1),
    'diving48': ('train', 'test', 48, 1),
    'ntu60': ('xsub_train', 'xsub_val', 60, 2),
    'ntu60_xview': ('xview_train', 'xview_val', 60, 2),
    'ntu120': ('xsub_train', 'xsub_val', 120, 2),
    'ntu120_xset': ('xset_train', 'xset_val', 120, 2),
}
NOISE = dict(type='PoseJitter', sigma=.01, unit='box')


@pytest.mark.parametrize('name', GRAPHS)
def test_published_skeletonmae(name, load):
    split, _, _, persons = GRAPHS[name]
    cfg = load(f'skeletonmae_{name}.py')
    loader = cfg.train_dataloader
    assert (loader.dataset.split, loader.batch_size) == (split, 1024)
    transforms = by_type(loader.dataset.pipeline)
    assert list(transforms) == [
        'PoseUniformSampleFrames', 'PoseDecode', 'PoseJitter',
        'PosePreNormalize2D', 'FormatGCNInput', 'BodyPartMask',
        'PackActionInputs'
    ]
    assert transforms['PoseUniformSampleFrames'].clip_len == 64
    assert transforms['PoseJitter'] == NOISE
    assert transforms['FormatGCNInput'].num_person == persons
    mask = transforms['BodyPartMask']
    assert mask == dict(
        type='BodyPartMask', layout='coco17', mask_parts=(3, 5))
    assert cfg.train_cfg.max_epochs == 50
    assert cfg.param_scheduler == []
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert type(optimizer) is torch.optim.Adam
    assert (optimizer.defaults['lr'], optimizer.defaults['betas'],
            optimizer.defaults['weight_decay']) == (1.5e-4, (.9, .999), 0)
    encoder = model.backbone
    assert (encoder.in_channels, encoder.embed_dims,
            encoder.hidden_dims) == (2, 64, 64)
    assert encoder.joint_embed.bias is not None
    assert [layer.dropout.p for layer in encoder.layers] == [.2] * 3
    for layer in (*encoder.layers, model.neck.layer):
        assert isinstance(layer.act1, torch.nn.PReLU)
        assert layer.operator.diagonal().eq(1).all()  # (1 + eps), no loops
        assert layer.operator.sum() == 17 + 2 * 18
    assert model.neck.layer.dropout.p == 0 and not model.neck.remask
    assert (model.head.beta, model.head.literal) == (2, False)
    assert model.target.source == 'embed'
    assert not model.mask_token.any()


@pytest.mark.parametrize('name', GRAPHS)
def test_published_strl(name, load):
    _, tested, classes, persons = GRAPHS[name]
    cfg = load(f'benchmarks/finetune/skeletonmae_{name}.py')
    scratch = load(f'benchmarks/finetune/skeletonmae_{name}_scratch.py')
    assert scratch._cfg_dict == cfg._cfg_dict
    pretrained = load(f'skeletonmae_{name}.py').train_dataloader.dataset
    dataset = cfg.train_dataloader.dataset
    assert cfg.train_dataloader.batch_size == 128
    assert dataset.split == pretrained.split
    pipelines = [
        by_type(cfg[f'{part}_dataloader'].dataset.pipeline)
        for part in ('train', 'val', 'test')
    ]
    train, val, test = pipelines
    assert train.pop('PoseJitter') == NOISE
    assert train == val
    assert test['PoseUniformSampleFrames'] == dict(
        val['PoseUniformSampleFrames'], num_clips=10, test_mode=True)
    for pipeline in pipelines:
        assert pipeline['FormatGCNInput'].num_person == persons
    for part in ('val', 'test'):
        assert cfg[f'{part}_dataloader'].dataset.split == tested

    model = MODELS.build(cfg.model)
    head = model.cls_head
    assert type(head).__name__ == 'GCNHead' and head.dropout is None
    assert (head.num_classes, head.in_channels, head.label_smooth_eps,
            head.average_clips) == (classes, 64, .1, 'prob')
    strl = model.backbone
    assert (len(strl.blocks), strl.num_frames, strl.temporal) == (3, 64,
                                                                  'layer')
    for block in strl.blocks:
        assert len(block.encoders) == 1  # for both persons
        encoder, = block.encoders
        assert [layer.dropout.p for layer in encoder.layers] == [0.] * 3

    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    group, = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.SGD)
    assert (group['lr'], group['momentum'], group['nesterov'],
            group['weight_decay']) == (.1, .9, True, 5e-4)
    assert cfg.train_cfg.max_epochs == 110
    rates = learning_rates(cfg, optimizer, steps=10)
    assert len(rates) == 1100
    assert rates[0] == pytest.approx(.01)
    assert rates[25] == pytest.approx(.01 + .09 * 25 / 49)
    for epoch, rate in ((5, .1), (89, .1), (90, .01), (99, .01), (100, .001),
                        (109, .001)):
        assert rates[10 * epoch] == pytest.approx(rate)


def learning_rates(cfg, optimizer, steps):
    """The rate of every step, as the runner schedules it."""
    schedulers = [
        PARAM_SCHEDULERS.build(
            item,
            default_args=dict(optimizer=optimizer, epoch_length=steps))
        for item in cfg.param_scheduler
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


def test_seen_from_25_joints_four_layers_reach(load):
    for name in ('skeletonmae_ntu60_3d.py', 'skeletonmae_demo.py'):
        cfg = load(name)
        model = MODELS.build(cfg.model)
        assert (len(model.backbone.layers), model.neck.remask) == (4, False)
        tuned = MODELS.build(load(f'benchmarks/finetune/{name}').model)
        assert len(tuned.backbone.blocks[0].encoders[0].layers) == 4
