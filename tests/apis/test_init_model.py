# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Models from configs and checkpoints: whole, strict, with names."""
import pickle

import pytest
import torch
from mmengine.config import Config

from skel_ssl.apis import init_model
from skel_ssl.apis.class_names import find_class_names
from skel_ssl.utils.checkpoint_loading import UnsafeCheckpointError
from tests.apis.tiny_models import (
    LINEAR,
    PRETRAIN,
    TINY_PRETRAIN,
    TINY_PROBE,
    make_clip,
    save_model,
    save_pretraining,
    save_probe,
)

NAMES = ['sit', 'stand', 'wave']


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    folder = tmp_path / 'data'
    folder.mkdir()
    monkeypatch.setenv('SKEL_DATA', str(folder))
    return folder


def write_data(folder, **more):
    clip = dict(frame_dir='a', label=0, total_frames=4,
                keypoint=make_clip(0, frames=4))
    (folder / 'demo_3d.pkl').write_bytes(
        pickle.dumps(dict(split=dict(xsub_val=['a']), annotations=[clip],
                          **more)))


def same(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name].cpu(), theirs[name]) for name in ours)


def test_a_whole_checkpoint(tmp_path):
    saved = save_probe(tmp_path / 'probe.pth')
    model = init_model(LINEAR, tmp_path / 'probe.pth', 'cpu', TINY_PROBE)
    assert same(model, saved)
    assert not model.training
    assert model.cfg.model.backbone.embed_dims == 16
    assert model.dataset_meta == {}


def test_a_config_object_stays_as_it_is(tmp_path):
    save_probe(tmp_path / 'probe.pth')
    cfg = Config.fromfile(LINEAR)
    path = str(tmp_path / 'probe.pth')
    model = init_model(cfg, path, cfg_options=TINY_PROBE)
    assert cfg.model.backbone.embed_dims == 64
    assert model.cfg.model.backbone.embed_dims == 16


def test_a_pretraining_model(tmp_path):
    saved = save_pretraining(tmp_path / 'pre.pth')
    model = init_model(PRETRAIN, tmp_path / 'pre.pth', 'cpu', TINY_PRETRAIN)
    assert same(model, saved)
    assert model.dataset_meta == {}


def test_pretrained_weights_go_into_the_backbone(tmp_path):
    saved = save_pretraining(tmp_path / 'pre.pth')

    def load(**kwargs):
        return init_model(LINEAR, device='cpu', cfg_options=TINY_PROBE,
                          pretrained=tmp_path / 'pre.pth', **kwargs).backbone

    assert same(load(), saved.teacher.module)
    assert same(load(pretrained_prefix='backbone.'), saved.backbone)


def test_weights_that_the_config_names_are_not_looked_for(tmp_path):
    save_probe(tmp_path / 'probe.pth')
    cfg = Config.fromfile(LINEAR)
    cfg.merge_from_dict(TINY_PROBE)
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='gone.pth')
    init_model(cfg, tmp_path / 'probe.pth')
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        init_model(cfg)


def test_every_weight_must_have_its_place(tmp_path):
    path = tmp_path / 'probe.pth'
    saved = save_probe(path)
    with pytest.raises(ValueError, match='size mismatch.*\n'):
        init_model(LINEAR, path)
    weights = saved.state_dict()
    del weights['cls_head.fc.bias']
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(ValueError, match='(?s)cls_head.fc.bias.*Use the conf'):
        init_model(LINEAR, path, cfg_options=TINY_PROBE)
    save_pretraining(path)
    with pytest.raises(ValueError, match='(?s)Missing key.*no classifier.*'
                       '--pretrained'):
        init_model(LINEAR, path, cfg_options=TINY_PROBE)


def test_what_cannot_be_meant(tmp_path):
    with pytest.raises(ValueError, match="'a.pth'.*'b.pth'.*give one"):
        init_model(LINEAR, 'a.pth', pretrained='b.pth')
    with pytest.raises(ValueError, match='goes with pretrained'):
        init_model(LINEAR, 'a.pth', pretrained_prefix='backbone.')
    with pytest.raises(FileNotFoundError, match="no config 'gone.py'"):
        init_model('gone.py')
    with pytest.raises(FileNotFoundError, match="no checkpoint.*'gone.pth'"):
        init_model(LINEAR, 'gone.pth')
    with pytest.raises(TypeError, match='not a dict'):
        init_model(dict(model=None))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f'open({str(tmp_path / "ran")!r}, "w")', ))

    torch.save(dict(state_dict={}, evil=Evil()), tmp_path / 'evil.pth')
    with pytest.raises(UnsafeCheckpointError):
        init_model(LINEAR, tmp_path / 'evil.pth')
    assert not (tmp_path / 'ran').exists()


class TestClassNames:
    """Where names come from, the first that knows them."""

    @staticmethod
    def names(path, **kwargs):
        model = init_model(LINEAR, path, 'cpu', TINY_PROBE, **kwargs)
        return model.dataset_meta.get('classes')

    def test_order(self, tmp_path, data):
        path = tmp_path / 'probe.pth'
        save_probe(path)
        assert self.names(path) is None
        write_data(data, classes=['x', 'y', 'z'])
        assert self.names(path) == ['x', 'y', 'z']
        (data / 'classes.txt').write_text('one\n two \n\nthree\n')
        assert self.names(path) == ['one', 'two', 'three']
        save_probe(path, dataset_meta=dict(classes=tuple(NAMES)))
        assert self.names(path) == NAMES
        assert self.names(path, classes=['a', 'b', 'c']) == ['a', 'b', 'c']
        assert self.names(path, classes=data / 'classes.txt') == [
            'one', 'two', 'three']

    def test_names_that_do_not_fit(self, tmp_path, data):
        path = tmp_path / 'probe.pth'
        save_probe(path)
        write_data(data, classes=['x', 'y'])
        assert self.names(path) is None
        with pytest.raises(ValueError, match='2 names.*tells 3 apart'):
            self.names(path, classes=['x', 'y'])
        (tmp_path / 'empty.txt').write_text('\n')
        with pytest.raises(ValueError, match='names no class'):
            self.names(path, classes=tmp_path / 'empty.txt')
        with pytest.raises(FileNotFoundError, match="'gone.txt'"):
            self.names(path, classes='gone.txt')

    def test_a_pickle_without_names(self, data):
        write_data(data)
        assert find_class_names(Config.fromfile(LINEAR)) is None

    def test_metainfo_of_the_data_set(self):
        cfg = Config.fromfile(LINEAR)
        cfg.test_dataloader.dataset.metainfo = dict(classes=NAMES)
        assert find_class_names(cfg) == NAMES


def test_a_model_without_weights_is_initialised():
    torch.manual_seed(1)
    model = init_model(LINEAR, device='cpu', cfg_options=TINY_PROBE)
    # LinearProbeHead: truncated normal 0.01, and not PyTorch's uniform 0.25
    assert 0 < model.cls_head.fc.weight.std() < 0.02


def test_save_model_is_what_is_loaded(tmp_path):
    saved = save_model(tmp_path / 'm.pth', LINEAR, TINY_PROBE)
    torch.save(saved.state_dict(), tmp_path / 'bare.pth')
    assert same(init_model(LINEAR, tmp_path / 'bare.pth', 'cpu', TINY_PROBE),
                saved)
