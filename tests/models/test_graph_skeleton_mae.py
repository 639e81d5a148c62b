# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Graph-based SkeletonMAE: what is hidden, predicted, and left alone."""
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from torch import nn

from skel_ssl.datasets import get_layout
from skel_ssl.models.ops.masking import joint_mask
from skel_ssl.registry import MODELS

# Hidden parts of coco17, and the joints whose output is then constant if the
# codes of hidden joints are set to zero (specification, section 5.3).
CONSTANT = {
    (3, 5): [10, 16],
    (0, ): [1, 2, 3, 4],
    (2, 4): [9, 15],
    (0, 3, 5): [1, 2, 3, 4, 10, 16],
    (1, 2, 3, 4, 5): list(range(7, 17)),
}


def build(backbone=(), neck=(), target='embed', layout='coco17', **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    cfg = dict(
        type='GraphSkeletonMAE',
        backbone=dict(type='GINEncoder', layout=layout, **dict(backbone)),
        neck=dict(type='GINDecoder', layout=layout, **dict(neck)),
        target=dict(type='JointTarget', source=target),
        head=dict(type='CosineErrorHead'))
    model = MODELS.build({**cfg, **kwargs})
    model.init_weights()
    # A token of zeros would hide that it is put in at all.
    nn.init.normal_(model.mask_token)
    return model


def joints_of(parts, layout='coco17'):
    every = list(get_layout(layout).parts.values())
    return [joint for part in parts for joint in every[part]]


def batch(num_clips=3, frames=6, parts=(3, 5), seed=0, scores=True):
    """Raw output of a data loader: two person slots, one of them empty; a
    person who comes late; a joint that was not seen."""
    torch.manual_seed(seed)
    clips = torch.randn(num_clips, 1, 2, frames, 17, 3)
    clips[..., 2] = clips[..., 2].abs() + .01
    clips[1, :, 1] = 0
    clips[0, :, 1, :2] = 0
    clips[2, 0, 0, 1, 10, 2] = 0
    if not scores:
        clips = clips[..., :2]
    samples = []
    for _ in range(num_clips):
        sample = ActionDataSample()
        mask = joint_mask(2, frames, 17, joints_of(parts))
        sample.set_field(mask[None], 'mask')
        samples.append(sample)
    return dict(inputs=list(clips), data_samples=samples)


def run(model, data, mode='loss'):
    return model(mode=mode, **model.data_preprocessor(data))


def test_every_seen_frame_of_a_person_is_a_graph():
    data = build().data_preprocessor(batch())
    # 3 clips of 2 persons and 6 frames, less 6 and 2 frames.
    assert data['inputs'].shape == (28, 17, 2)
    assert data['views'] == (1, 2, 6)
    missing = set(range(36)) - set(data['slots'].tolist())
    assert missing == {6, 7, *range(18, 24)}
    # Four joints of each graph, but for the one that was not seen.
    assert len(data['indices'].positions) == 28 * 4 - 1
    hidden = data['indices'].positions % 17
    assert set(hidden.tolist()) == {8, 10, 14, 16}


def test_exactly_the_hidden_joints_are_the_token():
    model = build().eval()
    data = model.data_preprocessor(batch())
    seen = []
    model.backbone.layers[0].register_forward_pre_hook(
        lambda module, args: seen.append(args[0]))
    model.decode(data['inputs'], data['indices'])
    joints = model.backbone.embed(data['inputs'])
    same = (seen[0] == model.mask_token).all(-1)
    assert torch.equal(same, data['mask'])
    assert torch.equal(seen[0][~data['mask']], joints[~data['mask']])


def test_loss_by_hand():
    """The mean over hidden, seen joints; one optimizer step lowers it."""
    model = build().eval()
    data = model.data_preprocessor(batch())
    total, count = 0., 0
    raw = torch.stack(batch()['inputs']).flatten(0, 3)[data['slots']]
    for graph in raw:
        coordinates, score = graph[:, :2], graph[:, 2]
        joints = model.backbone.joint_embed(coordinates)
        masked = joints.clone()
        masked[[8, 10, 14, 16]] = model.mask_token
        for layer in model.backbone.layers:
            masked = layer(masked)
        decoded = model.neck.layer(model.neck.embed(masked))
        for joint in (8, 10, 14, 16):
            if score[joint] > 0:
                cosine = torch.cosine_similarity(
                    decoded[joint], joints[joint], dim=0)
                total, count = total + (1 - cosine)**2, count + 1
    loss = run(model, batch())['loss']
    torch.testing.assert_close(loss, total / count, atol=1e-5, rtol=1e-5)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loss.backward()
    optimizer.step()
    assert run(model, batch())['loss'] < loss


def test_gradients_reach_every_trained_parameter():
    model = build()
    run(model, batch())['loss'].backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.abs().sum() > 0, name


@pytest.mark.parametrize('training', [True, False])
def test_absent_frames_change_nothing(training):
    """Neither what stands in them, nor that they are there at all."""
    data = batch()
    loss = run(build().train(training), data)['loss']
    for clip in data['inputs']:
        hidden = clip[..., 2].eq(0).all(-1)
        clip[hidden] = torch.tensor([7., -3., 0.])
    garbage = run(build().train(training), data)['loss']
    assert torch.equal(garbage, loss)
    for sample in data['data_samples']:
        sample.mask = torch.cat([sample.mask, sample.mask[:, :1]], 1)
    data['inputs'] = [
        torch.cat([clip, torch.zeros_like(clip[:, :1])], 1)
        for clip in batch()['inputs']
    ]
    assert torch.equal(run(build().train(training), data)['loss'], loss)


def test_copies_of_person_0_are_left_out():
    data = batch(scores=False)
    copied = batch(scores=False)
    copied['inputs'][1][:, 1] = copied['inputs'][1][:, 0]
    assert torch.equal(run(build(), data)['loss'], run(build(),
                                                       copied)['loss'])


def test_every_slot_on_request():
    model = build(
        data_preprocessor=dict(
            type='FrameDataPreprocessor',
            num_coordinates=2,
            skip_empty_persons=False))
    data = model.data_preprocessor(batch())
    assert data['inputs'].shape == (36, 17, 2)
    assert len(data['indices'].positions) == 36 * 4
    assert run(model, batch())['loss'].isfinite()


def test_without_scores_a_frame_of_zeros_is_absent():
    data = build().data_preprocessor(batch(scores=False))
    assert data['inputs'].shape == (28, 17, 2)
    assert len(data['indices'].positions) == 28 * 4


def test_a_batch_without_any_person():
    model = build()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    data = batch()
    data['inputs'] = [torch.zeros_like(clip) for clip in data['inputs']]
    loss = run(model, data)['loss']
    assert loss.item() == 0
    loss.backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.eq(0).all(), name
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_bfloat16():
    model = build()
    exact = run(model, batch())['loss']
    with torch.autocast('cpu', torch.bfloat16):
        loss = run(model, batch())['loss']
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=0, rtol=.02)
    loss.backward()
    for name, param in model.named_parameters():
        assert param.grad.isfinite().all(), name


def test_no_gradient_through_the_target():
    """Of the embedding of a hidden joint nothing is left but the target."""
    for source, flows in (('embed', False), ('frozen', False),
                          ('embed_grad', True)):
        model = build(target=source).eval()
        everything = joint_mask(4, 1, 17, range(1, 17))[:, 0]
        graphs = torch.randn(4, 17, 2)
        graphs[:, 0] = 0  # the visible one has no part in the weight
        model(graphs, mode='loss', mask=everything)['loss'].backward()
        assert model.backbone.joint_embed.weight.grad.any() == flows, source


def test_visible_joints_get_no_gradient_through_the_target():
    """... even where it flows, it flows to hidden joints only."""
    model = build(target='embed_grad')
    graphs = torch.randn(4, 17, 2)
    mask = joint_mask(4, 1, 17, joints_of((3, 5)))[:, 0]
    graphs.requires_grad_()
    _, indices, _ = model.hide(graphs, mask)
    target = model.target(graphs).flatten(0, 1)[indices.positions]
    target.sum().backward()
    assert torch.equal(graphs.grad.any(-1), mask)


def test_sources_of_the_target():
    graphs = torch.randn(4, 17, 2)
    model = build(target='frozen')
    start = model.backbone.joint_embed(graphs)
    assert torch.equal(model.target(graphs), start)
    nn.init.normal_(model.backbone.joint_embed.weight)
    assert torch.equal(model.target(graphs), start)
    assert 'target.embed.weight' in model.state_dict()
    model = build(target='embed')
    nn.init.normal_(model.backbone.joint_embed.weight)
    assert torch.equal(
        model.target(graphs), model.backbone.joint_embed(graphs))
    assert not [k for k in model.state_dict() if k.startswith('target.')]


def test_a_frozen_target_of_another_checkpoint():
    """It is the loaded embedding, not the random one from before."""
    trained = build(target='embed')
    nn.init.normal_(trained.backbone.joint_embed.weight)
    model = build(target='frozen')
    model.load_state_dict(trained.state_dict())
    graphs = torch.randn(4, 17, 2)
    assert torch.equal(
        model.target(graphs), trained.backbone.joint_embed(graphs))
    other = build(target='frozen')
    nn.init.normal_(model.backbone.joint_embed.weight)
    other.load_state_dict(model.state_dict())  # which has its own
    assert torch.equal(other.target(graphs), model.target(graphs))


def test_coordinates_with_a_squared_error():
    model = build(
        target='coord',
        head=dict(type='RegressionHead', in_dims=64, out_dims=2)).eval()
    data = model.data_preprocessor(batch())
    decoded = model.decode(data['inputs'], data['indices'])
    hidden = torch.zeros(28, 17, dtype=torch.bool).flatten()
    hidden[data['indices'].positions] = True
    expected = (model.head.fc(decoded) -
                data['inputs']).square().mean(-1).flatten()[hidden].mean()
    torch.testing.assert_close(run(model, batch())['loss'], expected)


@pytest.mark.parametrize('layout', ['coco17', 'coco'])
@pytest.mark.parametrize('parts', CONSTANT)
@pytest.mark.parametrize('remask', [False, True])
def test_remasking_makes_some_outputs_constant(remask, parts, layout):
    model = build(neck=dict(remask=remask), layout=layout).eval()
    joints = joints_of(parts)
    mask = joint_mask(1, 1, 17, joints)[:, 0]
    graphs = torch.randn(1, 17, 2, requires_grad=True)
    _, indices, _ = model.hide(graphs, mask)
    decoded = model.decode(graphs, indices)[0]
    constant = []
    for joint in joints:
        grad, = torch.autograd.grad(
            decoded[joint].sum(), graphs, retain_graph=True)
        if not grad.any():
            constant.append(joint)
    assert sorted(constant) == (CONSTANT[parts] if remask else [])


def test_receptive_field_of_25_joints():
    """A hand tip is four steps from the shoulder: three layers and the
    decoder just reach it; with re-masking they do not."""
    for remask, expected in ((False, []), (True, [10, 11, 23, 24])):
        model = build(
            backbone=dict(in_channels=3),
            neck=dict(remask=remask),
            layout='ntu25').eval()
        arm = joints_of((3, ), 'ntu25')
        graphs = torch.randn(1, 25, 3, requires_grad=True)
        mask = joint_mask(1, 1, 25, arm)[:, 0]
        decoded = model.decode(graphs, model.hide(graphs, mask)[1])[0]
        constant = [
            joint for joint in arm if not torch.autograd.grad(
                decoded[joint].sum(), graphs, retain_graph=True)[0].any()
        ]
        assert constant == expected


def test_literal_loss_of_the_model():
    mean = run(build(), batch(scores=False))['loss']
    literal = build(head=dict(type='CosineErrorHead', literal=True))
    printed = run(literal, batch(scores=False))['loss']
    torch.testing.assert_close(printed / mean, torch.tensor(.25))


def test_predictions_stand_where_the_joints_are():
    model = build().eval()
    data = model.data_preprocessor(batch())
    samples = model(mode='predict', **data)
    assert len(samples) == 3
    late = samples[0]
    assert late.present.shape == (1, 2, 6)
    assert late.present[0, 1].tolist() == [False] * 2 + [True] * 4
    assert late.mask.shape == late.token_error.shape == (1, 2, 6, 17)
    assert late.prediction.shape == late.target.shape == (1, 2, 6, 17, 64)
    assert late.feature.shape == (1, 2, 6, 64)
    assert not late.prediction[0, 1, :2].any()
    graphs = data['inputs'].new_tensor(batch()['inputs'][0][0, 1, 3:4, :, :2])
    torch.testing.assert_close(late.feature[0, 1, 3],
                               model.extract_feat(graphs)[0].mean(0))
    torch.testing.assert_close(late.target[0, 1, 3],
                               model.backbone.embed(graphs)[0])


def test_tensor_mode_is_the_unmasked_encoder():
    model = build().eval()
    data = model.data_preprocessor(batch())
    feats = model(mode='tensor', **data)
    assert feats.shape == (28, 17, 64)
    # ... and what the backbone gives a recognizer.
    clips = torch.stack(batch()['inputs'])[:, 0]
    grid = model.backbone(clips)
    assert grid.shape == (3, 2, 64, 6, 17)
    flat = grid.permute(0, 1, 3, 4, 2).flatten(0, 2)
    torch.testing.assert_close(flat[data['slots']], feats)
    absent = torch.ones(36, dtype=torch.bool)
    absent[data['slots']] = False
    assert not flat[absent].any()


def test_view_of_a_batch():
    model = build().eval()
    data = model.data_preprocessor(batch())
    view = model.inspect(data['inputs'], data['mask'], data['indices'])
    assert view.untreated.shape == (28, 17, 64)
    assert view.hidden.shape == view.pred.shape == (111, 64)
    assert view.visible.shape == (28 * 13, 64)
    assert view.features['student'].shape == (28, 64)
    error = model.head.token_error(view.pred, view.hidden).mean()
    torch.testing.assert_close(error, run(model, batch())['loss'])


def test_sizes_of_the_specification():
    """Section 8.4; the paper gives none."""

    def size(module):
        return sum(p.numel() for p in module.parameters())

    assert size(build()) == 38_535
    init_default_scope('mmaction')
    for width, expected in ((64, 25_734), (128, 92_422), (256, 348_678),
                            (512, 1_352_710)):
        encoder = MODELS.build(dict(type='GINEncoder', hidden_dims=width))
        assert size(encoder.layers) == expected


@pytest.mark.parametrize('change, message', [
    (lambda d: d.pop('mask'), 'BodyPartMask before'),
    (lambda d: d.update(mask=torch.ones(28, 20, dtype=torch.bool)),
     r'mask is for \(20,\) joints and the data have 17'),
])
def test_masks_that_do_not_fit(change, message):
    model = build()
    data = model.data_preprocessor(batch())
    data.pop('indices')
    change(data)
    with pytest.raises(ValueError, match=message):
        model(mode='loss', **data)


@pytest.mark.parametrize('cfg, message', [
    (dict(type='GINEncoder', depth=0), 'depth=0'),
    (dict(type='GINEncoder', layer='sage'), "no layer 'sage'"),
    (dict(type='JointTarget', source='pixels'), "no source 'pixels'"),
])
def test_wrong_parts(cfg, message):
    init_default_scope('mmaction')
    with pytest.raises(ValueError, match=message):
        MODELS.build(cfg)


def test_wrong_data():
    model = build()
    mixed = [torch.randn(1, 2, 6, 17, c) for c in (3, 2)]
    with pytest.raises(ValueError, match="a 'keypoint_score' or none"):
        model.data_preprocessor(dict(inputs=mixed, data_samples=None))
    with pytest.raises(ValueError, match='made for 2 coordinates'):
        clip = torch.randn(1, 2, 6, 17, 4)
        model.data_preprocessor(dict(inputs=[clip], data_samples=None))
    with pytest.raises(ValueError, match='20 joints'):
        model.backbone(torch.randn(1, 2, 6, 20, 2))
    with pytest.raises(ValueError, match=r'\(N, M, T, V, C\)'):
        model.backbone(torch.randn(2, 6, 17, 2))
