# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Somebody else's MMAction2 project takes the package in with one line.

The config is MMAction2's own for ST-GCN on NTU RGB+D 60, and so are the
tools; only the backbone is ours.
"""
import pickle
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.tools.conftest import (
    NUM_CLASSES,
    NUM_VAL,
    load_weights,
    read_log,
    under,
)

MIM = Path(mmaction.__file__).parent / '.mim'
UPSTREAM = (
    MIM / 'configs/skeleton/stgcn/'
    'stgcn_8xb16-joint-u100-80e_ntu60-xsub-keypoint-3d.py')
TEACHER = 'target.teacher.module.'


@pytest.fixture(scope='module')
def config(skel_data, pretrained, tmp_path_factory):
    """The user's config, with the encoder of the pre-training."""
    data = dict(ann_file=str(skel_data / 'demo_3d.pkl'))
    repeated = dict(dataset=dict(times=1, dataset=data))
    config = tmp_path_factory.mktemp('project') / 'my_stgcn.py'
    config.write_text(f'''
_base_ = {str(UPSTREAM)!r}
custom_imports = dict(imports=['skel_ssl'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        _delete_=True,
        type='SkeletonTransformer',
        num_frames=100,
        patch_len=4,
        embed_dims=16,
        depth=2,
        num_heads=4,
        layer_scale=None,
        init_cfg=dict(
            type='Pretrained',
            checkpoint={str(pretrained)!r},
            prefix={TEACHER!r})),
    cls_head=dict(in_channels=16))
train_dataloader = dict(batch_size=8, num_workers=0,
                        persistent_workers=False, **{repeated})
val_dataloader = dict(num_workers=0, persistent_workers=False,
                      dataset={data})
test_dataloader = dict(num_workers=0, persistent_workers=False,
                       dataset={data})
train_cfg = dict(max_epochs=1)
# The encoder stays as it was loaded.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0))))
default_hooks = dict(logger=dict(interval=1))
''')
    return config


@pytest.fixture(scope='module')
def trained(run_tool, config):
    """The work dir of MMAction2's own training tool."""
    work_dir = config.parent / 'train'
    run_tool(MIM / 'tools/train.py', config, '--work-dir', work_dir)
    return work_dir


def test_the_encoder_is_the_pretrained_teacher(trained, pretrained):
    """Also where the clips are longer: 8 segments become 25."""
    source = under(TEACHER, load_weights(pretrained))
    loaded = under('backbone.', load_weights(trained / 'epoch_1.pth'))
    assert loaded.keys() == source.keys()
    for name, value in loaded.items():
        expected = source[name]
        if name == 'pos_embed.temporal':
            assert expected.shape == (1, 8, 1, 16)
            expected = F.interpolate(
                expected.permute(0, 3, 1, 2), (25, 1),
                mode='bicubic').permute(0, 2, 3, 1)
        assert torch.equal(value, expected), name


def test_the_head_is_trained(trained):
    log = [r for r in read_log(trained) if 'loss' in r]
    assert len(log) == 2
    assert np.isfinite([r['loss'] for r in log]).all()
    # It starts at 0; 57 of the 60 classes are never right.
    bias = load_weights(trained / 'epoch_1.pth')['cls_head.fc.bias']
    assert (bias[:NUM_CLASSES] > 0).all() and (bias[NUM_CLASSES:] < 0).all()
    assert [r for r in read_log(trained) if 'acc/top1' in r]


def test_its_checkpoint_is_tested(run_tool, config, trained, tmp_path):
    dump = tmp_path / 'predictions.pkl'
    done = run_tool(MIM / 'tools/test.py', config, trained / 'epoch_1.pth',
                    '--dump', dump, '--work-dir', tmp_path)
    samples = pickle.loads(dump.read_bytes())
    assert len(samples) == NUM_VAL
    hits = [
        int(sample['pred_score'].argmax()) == int(sample['gt_label'])
        for sample in samples
    ]
    assert f'acc/top1: {np.mean(hits):.4f}' in done.stdout
