# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pictures of a run: the same clips each time, and a training that does not
notice."""
import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from skel_ssl.engine.hooks import SkeletonVisualizationHook
from skel_ssl.utils.person_batches import use_person_batches
from skel_ssl.visualization.skeleton_visualizer import SkeletonVisualizer
from tests.tools.conftest import PRETRAIN, ROOT, random_walk

NUM_CLIPS = 8


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    annotations = [
        dict(
            frame_dir=f'S001C001P{i:03}R001A{i % 2:03}',
            label=i % 2,
            total_frames=40,
            keypoint=random_walk(rng, 1 + i % 2, 40))
        for i in range(NUM_CLIPS)
    ]
    names = [x['frame_dir'] for x in annotations]
    split = dict(xsub_train=names, xsub_val=names[:5])
    (folder / 'demo_3d.pkl').write_bytes(
        pickle.dumps(
            dict(split=split, annotations=annotations,
                 classes=['wave', 'sit'])))
    return folder


@pytest.fixture
def config(folder, monkeypatch, tmp_path):
    """A tiny config, with random draws in the forward pass."""
    monkeypatch.setenv('SKEL_DATA', str(folder))

    def config(file=PRETRAIN, **hook):
        cfg = Config.fromfile(ROOT / file)
        cfg.model.backbone.update(embed_dims=16, depth=1, drop_path_rate=.5)
        if 'neck' in cfg.model:
            cfg.model.neck.update(in_dims=16, embed_dims=16)
            cfg.model.head.update(in_dims=16)
        if cfg.model.get('target', {}).get('type') == 'TeacherTarget':
            cfg.model.target.top_k = 1
            cfg.model.head.out_dims = 16
        if 'mask_generator' in cfg.model:
            cfg.model.mask_generator.embed_dims = 16
        cfg.train_dataloader.update(
            batch_size=4, num_workers=0, persistent_workers=False)
        cfg.train_cfg.max_epochs = 2
        cfg.param_scheduler.warmup = 1
        cfg.default_hooks.checkpoint.interval = 9
        cfg.custom_hooks = [
            x for x in cfg.get('custom_hooks', [])
            if x['type'] == 'EMATeacherHook'
        ]
        if hook:
            cfg.custom_hooks.append(
                dict(type='SkeletonVisualizationHook', num_poses=2, **hook))
        return cfg

    return config


def run(cfg, work_dir):
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = cfg.experiment_name = str(work_dir)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn; drawing takes time."""
    calls = []

    def add(self, name, clip, sample, out_file=None, step=0):
        calls.append(
            dict(name=name, clip=clip, sample=sample, out_file=out_file,
                 step=step, classes=self.dataset_meta['classes'],
                 view=self.body_view))

    monkeypatch.setattr(SkeletonVisualizer, 'add_datasample', add)
    return calls


@pytest.mark.parametrize('file', [PRETRAIN, 'configs/hacm_demo.py'])
def test_training_does_not_notice(config, drawn, tmp_path, file):
    states = []
    for name, hook in (('without', {}), ('with', dict(interval=1))):
        model = run(config(file, **hook), tmp_path / name).model
        states.append(model.state_dict())
        assert model.training and model.backbone.training
    assert len(drawn) == 4
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_same_clips_and_masks_each_time(config, drawn, tmp_path):
    cfg = config('configs/hacm_demo.py', interval=1, num_clips=3)
    run(cfg, tmp_path)
    first, second = drawn[:3], drawn[3:]
    assert [x['name'] for x in first] == [
        f'train_S001C001P{i:03}R001A{i % 2:03}' for i in (0, 4, 7)]
    assert [x['step'] for x in drawn] == [1] * 3 + [2] * 3
    for a, b in zip(first, second):
        assert torch.equal(a['clip'], b['clip'])
        assert not torch.equal(a['sample'].prediction, b['sample'].prediction)
        # The model is another one; what it hides is drawn by the same
        # numbers.
        assert a['sample'].mask.sum() == b['sample'].mask.sum() > 0
        assert a['sample'].reconstruction.shape == a['clip'].shape
        assert len(a['sample'].token_joints) == 18
    assert first[0]['classes'] == ['wave', 'sit']
    assert first[0]['view'].layout.name == 'ntu25'


def test_masks_of_the_data_are_the_same(config, drawn, tmp_path):
    cfg = config(interval=2, by_epoch=False, seed=3)
    run(cfg, tmp_path)
    assert [x['step'] for x in drawn] == [2, 2, 4, 4]
    for a, b in zip(drawn[:2], drawn[2:]):
        assert torch.equal(a['sample'].mask, b['sample'].mask)
        assert 'reconstruction' not in a['sample']  # features
        assert not torch.equal(a['sample'].token_error,
                               b['sample'].token_error)


def test_pictures_in_the_work_dir(config, tmp_path):
    run(config(interval=2, num_clips=1), tmp_path)
    # MMAction2's ActionVisualizer stays what the config has.
    [picture] = tmp_path.glob('*/vis_data/vis_image/*.png')
    assert picture.name == 'train_S001C001P000R001A000_2.png'


def test_other_clips_and_a_folder(config, drawn, tmp_path):
    cfg = config()
    clips = copy.deepcopy(cfg.train_dataloader.dataset)
    clips.split = 'xsub_val'
    cfg = config(interval=2, num_clips=1, dataset=clips, suffix='.gif',
                 out_dir=str(tmp_path / 'pictures'))
    run(cfg, tmp_path)
    [call] = drawn
    assert call['out_file'] == tmp_path / (
        'pictures/train_S001C001P000R001A000_2.gif')


def test_every_second_clip_of_a_test(config, drawn, tmp_path):
    cfg = config('configs/benchmarks/linear/skel2vec_demo.py', interval=0,
                 test_interval=2)
    cfg.model.cls_head.update(in_channels=16, num_classes=2)
    cfg.test_dataloader.update(batch_size=3, num_workers=0,
                               persistent_workers=False)
    cfg.work_dir = cfg.experiment_name = str(tmp_path)
    Runner.from_cfg(cfg).test()
    assert [x['name'] for x in drawn] == [
        f'{i:05}_S001C001P{i:03}R001A{i % 2:03}' for i in (0, 2, 4)]
    assert all(x['sample'].pred_score.shape == (2, ) for x in drawn)
    assert [int(x['sample'].gt_label) for x in drawn] == [0, 0, 0]


@pytest.mark.parametrize('given,message', [
    (dict(interval=-1), 'interval=-1 is less than 0'),
    (dict(num_clips=0), 'num_clips=0 is less than 1'),
    (dict(suffix='.jpg'), 'must end in .png'),
    (dict(suffix='.gif'), "suffix='.gif' goes with out_dir"),
])
def test_bad_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        SkeletonVisualizationHook(**given)


def test_more_clips_than_there_are(config, tmp_path):
    with pytest.raises(ValueError, match='num_clips=9 of a dataset of 8'):
        run(config(num_clips=9), tmp_path)


@pytest.mark.parametrize('hook, steps', [
    (dict(by_epoch=False, interval=2), [2, 4]), (dict(interval=0), []),
    (dict(interval=2), None)])
def test_a_loop_of_iterations(config, drawn, tmp_path, hook, steps):
    """Its one epoch is the whole training."""
    cfg = config(num_clips=1, **hook)
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=4, val_interval=4)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint = None
    if steps is None:
        with pytest.raises(ValueError, match='VisualizationHook counts epoch'):
            run(cfg, tmp_path)
    else:
        run(cfg, tmp_path)
        assert [x['step'] for x in drawn] == steps


def test_persons_are_no_clips(config, tmp_path):
    cfg = config(num_clips=1)
    use_person_batches(cfg, 'workers')
    with pytest.raises(ValueError, match='give it dataset='):
        run(cfg, tmp_path)
