# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""ONNX files compute what PyTorch computes, on clips of all kinds."""
import builtins

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.registry import init_default_scope
from packaging.version import Version
from torch import nn

from skel_ssl.apis import export
from skel_ssl.apis.export import (
    BATCH_SIZES,
    export_onnx,
    largest_difference,
    random_clips,
)
from skel_ssl.apis.static_model import StaticModel, occupied_slots
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.registry import MODELS

exporting = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.6'),
    reason='the exporter of this torch is too old')
SIZES = dict(embed_dims=16, depth=2, num_heads=2, num_frames=8, patch_len=4)
TRANSFORMER = dict(type='SkeletonTransformer', num_joints=20, **SIZES)
HYPERBOLIC = dict(
    type='HyperbolicSkeletonTransformer', layout='kinect20', **SIZES)
GIN = dict(
    type='GINEncoder',
    layout='kinect20',
    in_channels=3,
    embed_dims=8,
    hidden_dims=16,
    depth=2)
STRL = dict(
    type='STRL',
    layout='kinect20',
    in_channels=3,
    num_frames=8,
    embed_dims=16,
    encoder=dict(hidden_dims=16, depth=2),
    widths=(16, 16))
PROBE = dict(type='LinearProbeHead', num_classes=5, in_channels=16)
FINETUNE = dict(
    type='FineTuneHead',
    num_classes=5,
    in_channels=16,
    num_joints=13,
    hidden_channels=12)
GCN = dict(type='GCNHead', num_classes=5, in_channels=16)
MODELS_OF = {
    'transformer': (TRANSFORMER, PROBE),
    'all slots': (dict(TRANSFORMER, skip_empty_persons=False), GCN),
    'hyperbolic': (HYPERBOLIC, FINETUNE),
    'graphs': (GIN, PROBE),
    'strl': (STRL, GCN),
    'strl together': (dict(STRL, interaction='sum_other',
                           strides=(1, 2)), GCN),
    'strl pyramid':
    (dict(STRL, temporal='pyramid',
          skip_empty_persons=False), dict(GCN, in_channels=112)),
    'strl final': (dict(STRL, temporal='final'), GCN),
}
# What one exporter run costs seconds for; the others are run eagerly.
EXPORTED = ('transformer', 'hyperbolic', 'graphs', 'strl')
SHAPE = (2, 8, 20, 3)


def build(name, seed=0):
    """A recognizer with random weights, biases and statistics."""
    init_default_scope('mmaction')
    backbone, head = MODELS_OF[name]
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(type='RecognizerGCN', backbone=backbone, cls_head=head)).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.requires_grad_(False)


def scores(model):
    """MMAction2's own path from clips to scores."""
    return lambda clips: model.extract_feat(clips[:, None], stage='head')[0]


@pytest.mark.parametrize('name', MODELS_OF)
def test_the_static_form_is_the_model(name):
    model = build(name)
    static = StaticModel(model.backbone, model.cls_head).eval()
    largest = largest_difference(
        scores(model), lambda x: static(torch.from_numpy(x)).numpy(), SHAPE)
    assert largest < 2e-5


@exporting
@pytest.mark.parametrize('name', EXPORTED)
def test_an_onnx_file_gives_the_scores_of_pytorch(name, tmp_path):
    """100 random clips in batches of 1 to 38."""
    model, path = build(name), tmp_path / 'model.onnx'
    model.train()  # as it was, it is afterwards
    report = export_onnx(model.backbone, model.cls_head, SHAPE, path)
    assert model.backbone.training and model.cls_head.training
    model.eval()
    assert [p.name for p in tmp_path.iterdir()] == ['model.onnx']
    assert report.num_clips == sum(BATCH_SIZES) == 100
    assert report.input_shape == ('batch', *SHAPE)
    assert report.output_shape == ('batch', 5)
    loaded = onnx.load(path)
    assert loaded.opset_import[0].version == export.OPSET
    assert [i.name for i in loaded.graph.input] == ['keypoint']
    assert [o.name for o in loaded.graph.output] == ['scores']
    session = onnxruntime.InferenceSession(path)
    rng = np.random.default_rng(1)  # other clips than the exporter's own
    for size in (1, 2, 5, 33):
        clips = random_clips(size, SHAPE, rng)
        got, = session.run(None, dict(keypoint=clips))
        expected = scores(model)(torch.from_numpy(clips)).numpy()
        np.testing.assert_allclose(got, expected, atol=1e-4)
        # the comparison can fail
        assert np.ptp(expected, axis=0).max() > 1e-2 or size == 1


def test_random_clips_have_all_kinds_of_persons():
    clips = torch.from_numpy(random_clips(36, SHAPE, np.random.default_rng(0)))
    present = present_persons(clips)
    kinds = {tuple(row) for row in present.tolist()}
    assert kinds == {(True, True), (True, False), (False, True),
                     (False, False)}
    copied = (clips[:, 0] == clips[:, 1]).flatten(1).all(1)
    assert (copied & present[:, 0]).any()
    unseen = (clips == 0).flatten(3).all(-1) & present[..., None]
    assert unseen.any()


@pytest.mark.parametrize('persons', [1, 2, 3])
def test_occupied_slots_are_the_present_persons(persons):
    clips = torch.from_numpy(
        random_clips(36, (persons, 8, 20, 3), np.random.default_rng(0)))
    assert occupied_slots(clips).equal(present_persons(clips))
    # where that one raises an error, NaN comes out at the end
    model = build('transformer')
    clips[0, 0, 0, 0, 0] = torch.nan
    static = StaticModel(model.backbone, model.cls_head).eval()
    out = static(clips)
    assert out[0].isnan().all() and out[1:].isfinite().all()


@exporting
def test_a_model_that_differs_leaves_no_file(tmp_path, monkeypatch):
    model = build('transformer')
    # the exporter's form forgets that slots can be empty
    monkeypatch.setattr(
        'skel_ssl.apis.static_model.occupied_slots',
        lambda clips: torch.ones(clips.shape[:2], dtype=torch.bool))
    with pytest.raises(ValueError, match='differs from PyTorch by up to '):
        export_onnx(model.backbone, model.cls_head, SHAPE,
                    tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


class LooksAtData(nn.Module):
    """Decides by the data what to do, as no graph can."""

    def forward(self, x):
        x = x.mean((1, 3, 4))
        return -x if float(x.sum()) > 0 else x


@exporting
def test_what_cannot_be_exported_is_said_once(tmp_path):
    model = build('transformer')
    with pytest.raises(
            ValueError,
            match='SkeletonTransformer and LooksAtData '
            'cannot be exported with torch '):
        export_onnx(model.backbone, LooksAtData(), SHAPE, tmp_path / 'x.onnx')
    init_default_scope('mmaction')
    own = MODELS.build(dict(STRL, share_person_encoder=False))
    with pytest.raises(ValueError, match='share_person_encoder=True'):
        export_onnx(own, nn.Identity(), SHAPE, tmp_path / 'x.onnx')
    assert not list(tmp_path.iterdir())


@exporting
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_onnx(name, *args, **kwargs):
        if name == 'onnxruntime':
            raise ModuleNotFoundError('no', name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_onnx)
    model = build('transformer')
    with pytest.raises(
            ImportError,
            match=r'the package onnxruntime: .*'
            r'pip install -e .\[onnx\]'):
        export_onnx(model.backbone, model.cls_head, SHAPE, tmp_path / 'x')


def test_torch_is_too_old(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.5.1+cu121')
    with pytest.raises(ImportError, match=r'torch >= 2.6, .* is 2\.5\.1'):
        export_onnx(nn.Identity(), nn.Identity(), (1, 8, 20, 3),
                    tmp_path / 'x.onnx')
    assert not list(tmp_path.iterdir())
