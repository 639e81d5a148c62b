# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""STRL: equations 3 and 4, persons and frames that are not there, weights."""
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from torch import nn

from skel_ssl.apis import load_pretrained
from skel_ssl.models.ops.person_frames import PersonFrames
from skel_ssl.registry import MODELS

FRAMES = 8
VARIANTS = {
    'default': dict(),
    'final': dict(temporal='final'),
    'pyramid': dict(temporal='pyramid'),
    'interaction': dict(interaction='sum_other'),
    'two encoders': dict(share_person_encoder=False),
    'strides': dict(strides=(1, 2, 2)),
    'wide': dict(widths=(16, 32, 48)),
}


def build(seed=0, **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(seed)
    cfg = dict(
        type='STRL',
        num_frames=FRAMES,
        embed_dims=16,
        encoder=dict(hidden_dims=16),
        widths=(16, 16, 16))
    model = MODELS.build({**cfg, **kwargs})
    model.init_weights()
    return model


def recognizer(backbone, classes=5):
    init_default_scope('mmaction')
    torch.manual_seed(1)
    model = MODELS.build(
        dict(
            type='RecognizerGCN',
            data_preprocessor=dict(type='ActionDataPreprocessor'),
            backbone=dict(type='GINEncoder'),
            cls_head=dict(
                type='GCNHead',
                num_classes=classes,
                in_channels=backbone.out_dims,
                label_smooth_eps=.1)))
    model.backbone = backbone
    nn.init.normal_(model.cls_head.fc.weight)
    return model


def clips(num=3, persons=2, scores=True, seed=0):
    """Everyone is there in every frame."""
    torch.manual_seed(seed)
    x = torch.randn(num, persons, FRAMES, 17, 3)
    x[..., 2] = x[..., 2].abs() + .01
    return x if scores else x[..., :2].contiguous()


@pytest.mark.parametrize('variant', VARIANTS)
def test_shapes(variant):
    model = build(**VARIANTS[variant])
    out = model(clips())
    frames = dict(pyramid=1, strides=2).get(variant, FRAMES)
    assert out.shape == (3, 2, model.out_dims, frames, 17)
    assert recognizer(model).cls_head(out).shape == (3, 5)


def test_spatial_module_is_the_formula():
    """Equations 3 and 4, frame by frame and person by person."""
    model = build(temporal='final').eval()
    block = model.blocks[0]
    for norm in (block.norm, block.shortcut_norm):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var)
    h = torch.randn(6, 17, 16)
    frames = PersonFrames.of(torch.ones(1, 2, 3, dtype=torch.bool))
    found, _ = block(h, frames)
    for graph, out in zip(h, found):
        code = graph
        for layer in block.encoders[0].layers:
            code = layer(code)
        pooled = code.sum(0)
        rows = []
        for joint in graph:
            sm = pooled + block.shortcut_norm((block.shortcut.weight
                                               @ joint)[None])[0]
            rows.append(
                block.norm((block.fc.weight @ sm)[None])[0].clamp(min=0))
        torch.testing.assert_close(
            out, torch.stack(rows), atol=1e-5, rtol=1e-5)


def test_whole_backbone_by_hand():
    """One clip, two persons: embedding, position, blocks with time."""
    model = build().eval()
    x = clips(1)
    for person in range(2):
        h = model.joint_embed(x[0, person, ..., :2]) + model.pos_embed
        for block in model.blocks:
            code = block.encoders[0].encode_joints(h).sum(1, keepdim=True)
            short = block.shortcut_norm(block.shortcut(h).flatten(0, 1))
            mixed = code + short.view_as(h)
            h = block.norm(block.fc(mixed).flatten(0, 1)).relu().view_as(h)
            grid = h.permute(2, 0, 1)[None]
            grid = (block.temporal.tcn(grid) + grid).relu()
            h = grid[0].permute(1, 2, 0)
        torch.testing.assert_close(
            model(x)[0, person], h.permute(2, 0, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('variant', VARIANTS)
def test_absent_persons_change_nothing(variant, training):
    """Neither logits nor loss, with GCNHead's plain mean over all slots."""

    def outcome(x):
        model = recognizer(build(**VARIANTS[variant])).train(training)
        samples = [ActionDataSample().set_gt_label(i) for i in range(len(x))]
        loss = model(x[:, None], samples, mode='loss')['loss_cls']
        torch.manual_seed(0)
        model = recognizer(build(**VARIANTS[variant])).train(training)
        return loss, model.cls_head(model.backbone(x))

    lone = clips(persons=1)
    padded = torch.cat([lone, torch.zeros_like(lone)], 1)
    copied = torch.cat([lone, lone], 1)
    expected = outcome(lone)
    for other in (padded, copied):
        for found, value in zip(outcome(other), expected):
            torch.testing.assert_close(found, value, atol=1e-6, rtol=1e-5)


def test_who_is_seen_in_no_frame_that_is_left():
    x = clips()
    x[:, 1, ::2] = 0  # strides of 2 leave the even frames
    model = recognizer(build(**VARIANTS['strides'])).eval()
    torch.testing.assert_close(
        model.cls_head(model.backbone(x)),
        model.cls_head(model.backbone(x[:, :1])), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_absent_frames_change_nothing(training):
    x = clips()
    x[0, 1, 3:] = 0
    x[2, 0, ::2] = 0
    garbage = x.clone()
    garbage[0, 1, 3:, :, :2] = 9.
    garbage[2, 0, ::2, :, :2] = -5.
    found, expected = (build().train(training)(y) for y in (garbage, x))
    assert torch.equal(found, expected)
    assert not expected[0, 1, :, 3:].any()
    assert not expected[2, 0, :, ::2].any()
    # Scores do nothing else: without them the same frames are absent.
    bare = build().train(training)(x[..., :2].contiguous())
    assert torch.equal(bare, expected)


def test_absent_frames_take_no_part_in_statistics():
    """The encoder's batch norm sees the frames that are there."""
    half = clips(2, 1)
    half[:, :, FRAMES // 2:] = 0
    model = build()
    model(half)
    norm = model.blocks[0].encoders[0].layers[0].norm1
    other = build()
    joints = half[:, 0, :FRAMES // 2, :, :2]
    h = other.joint_embed(joints) + other.pos_embed[:FRAMES // 2]
    layer = other.blocks[0].encoders[0].layers[0]
    layer(h.flatten(0, 1))
    torch.testing.assert_close(norm.running_mean, layer.norm1.running_mean)
    torch.testing.assert_close(norm.running_var, layer.norm1.running_var)


def test_nobody_at_all():
    model = build()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = clips()
    x[1] = 0
    out = model(x)
    assert out[0].any() and not out[1].any()
    model.load_state_dict(before)
    out = model(torch.zeros_like(x))
    assert out.shape == (3, 2, 16, FRAMES, 17) and not out.any()


def test_every_slot_on_request():
    x = clips()
    x[:, 1] = 0
    all_slots = build(skip_empty_persons=False)(x)
    assert all_slots[:, 1].any()
    assert not torch.equal(all_slots[:, 1], build()(x)[:, 1])


def test_persons_are_independent_unless_they_interact():
    x = clips().requires_grad_()
    for interaction, mixes in ((None, False), ('sum_other', True)):
        out = build(interaction=interaction).eval()(x)
        grad, = torch.autograd.grad(out[0, 0].sum(), x)
        assert grad[0, 1].any() == mixes
        assert not grad[1:].any()  # clips never mix


def test_sum_other_is_the_sum_of_pooled_vectors():
    there = torch.tensor([[[1, 1, 0], [1, 0, 1]], [[0, 0, 0], [1, 1, 1]]])
    frames = PersonFrames.of(there.bool())
    pooled = torch.arange(1., 8.)[:, None]
    # Clip 0: person 0 has 1, 2; person 1 has 3, 4. Clip 1: 5, 6, 7.
    assert frames.sum_persons(pooled)[:, 0].tolist() == [4, 2, 4, 4, 5, 6, 7]


def test_a_copy_of_the_encoder_for_each_slot():
    model = build(share_person_encoder=False).eval()
    x = clips()
    swapped = model(x.flip(1)).flip(1)
    assert not torch.allclose(model(x), swapped)
    for block in model.blocks:
        one, other = block.encoders
        other.load_state_dict(one.state_dict())
    torch.testing.assert_close(model(x), model(x.flip(1)).flip(1))
    shared = build().eval()
    torch.testing.assert_close(shared(x), shared(x.flip(1)).flip(1))
    with pytest.raises(ValueError, match='3 person slots'):
        model(clips(persons=3))


def pretrained(depth=3, **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(7)
    cfg = dict(embed_dims=16, hidden_dims=16, depth=depth)
    encoder = MODELS.build(dict(type='GINEncoder', **{**cfg, **kwargs}))
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + .5)
    return encoder


@pytest.mark.parametrize('variant', VARIANTS)
def test_pretrained_weights_reach_every_block(variant, tmp_path):
    """Through the checkpoint of a pre-training, and nothing else moves."""
    encoder = pretrained()
    path = tmp_path / 'pretrained.pth'
    weights = {f'backbone.{k}': v for k, v in encoder.state_dict().items()}
    torch.save(dict(state_dict=dict(weights, mask_token=torch.ones(16))), path)
    model = build(**VARIANTS[variant])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert load_pretrained(model, path).prefix == 'backbone.'
    x = torch.randn(4, 17, 16)
    encoder.eval()
    for block in model.eval().blocks:
        for copy in block.encoders:
            assert torch.equal(
                copy.encode_joints(x), encoder.encode_joints(x))
    assert torch.equal(model.joint_embed.weight, encoder.joint_embed.weight)
    for name, value in model.state_dict().items():
        if '.encoders.' not in name and 'joint_embed' not in name:
            assert torch.equal(value, before[name]), name


def test_init_cfg_starts_like_its_random_twin(tmp_path):
    """Same seed: all that is not pre-trained is the same, trained or not."""
    path = tmp_path / 'pretrained.pth'
    encoder = pretrained()
    torch.save(dict(state_dict={
        f'backbone.{k}': v for k, v in encoder.state_dict().items()
    }), path)
    init_cfg = dict(
        type='Pretrained', checkpoint=str(path), prefix='backbone.')
    twin, model = build(), build(init_cfg=init_cfg)
    assert torch.equal(model.blocks[2].encoders[0].layers[2].fc2.weight,
                       encoder.layers[2].fc2.weight)
    for (name, one), other in zip(twin.state_dict().items(),
                                  model.state_dict().values()):
        if one.is_floating_point():
            moved = '.encoders.' in name or name.startswith('joint_embed')
            assert torch.equal(one, other) != moved, name


def test_the_embedding_can_stay_behind(tmp_path):
    path = tmp_path / 'pretrained.pth'
    torch.save(pretrained(in_channels=3).state_dict(), path)
    model = build(pretrained_embed=False)
    load_pretrained(model, path)
    assert model.joint_embed.weight.shape == (16, 2)
    with pytest.raises(ValueError, match='joint_embed.weight'):
        load_pretrained(build(), path)


@pytest.mark.parametrize('encoder, message', [
    (dict(depth=4), 'layers.3'),
    (dict(depth=2), 'blocks.0.encoders.0.layers.2'),
    (dict(hidden_dims=32), 'size mismatch'),
    (dict(layer='gcn'), 'fc1'),
])
def test_another_encoder_is_refused(encoder, message, tmp_path):
    path = tmp_path / 'pretrained.pth'
    torch.save(pretrained(**encoder).state_dict(), path)
    with pytest.raises(ValueError, match=message):
        load_pretrained(build(), path)


def test_a_checkpoint_of_its_own_loads_as_ever():
    one, other = build(0), build(1)
    other.load_state_dict(one.state_dict(), strict=True)
    x = clips()
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_a_frozen_encoder_stays_frozen():
    model = build(frozen_encoder=True).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(clips()).square().sum().backward()
    for name, param in model.named_parameters():
        frozen = '.encoders.' in name or name.startswith('joint_embed')
        assert (param.grad is None) == frozen, name
    for name, value in model.state_dict().items():
        if '.encoders.' in name:
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('variant', VARIANTS)
def test_checkpointing_changes_nothing_but_memory(variant):
    """Outputs, gradients and running statistics, after two steps."""
    found = []
    for with_cp in (False, True):
        model = build(
            with_cp=with_cp,
            **{
                'encoder': dict(hidden_dims=16, dropout=.2),
                **VARIANTS[variant]
            })
        kept = []

        def keep(tensor, kept=kept):
            kept.append(tensor.numel())
            return tensor

        torch.manual_seed(5)
        for seed in range(2):
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
                loss = model(clips(seed=seed)).square().sum()
            loss.backward()
        grads = {k: p.grad for k, p in model.named_parameters()}
        found.append((sum(kept), grads, model.state_dict()))
    (much, *plain), (little, *saving) = found
    assert little < much / 2
    for one, other in zip(plain, saving):
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, msg=name)


def test_gradients_reach_every_parameter():
    for variant in VARIANTS.values():
        model = recognizer(build(**variant))
        samples = [ActionDataSample().set_gt_label(i) for i in range(3)]
        x = clips()
        model(x[:, None], samples, mode='loss')['loss_cls'].backward()
        for name, param in model.named_parameters():
            assert param.grad is not None and param.grad.any(), name


@pytest.mark.parametrize('variant', VARIANTS)
def test_bfloat16(variant):
    x = clips()
    x[1, 1] = 0
    x[0, 0, :3] = 0
    model = build(**VARIANTS[variant])
    exact = model(x)
    with torch.autocast('cpu', torch.bfloat16):
        out = model(x)
    # A few per cent more in each block, through twenty batch norms each.
    assert (out - exact).square().mean() < .15 * exact.square().mean()
    out.float().square().sum().backward()
    for name, param in model.named_parameters():
        assert param.grad.isfinite().all(), name


@pytest.mark.parametrize('scores', [True, False])
def test_ten_clips_of_a_recognizer(scores):
    """Views are averaged as probabilities, as MMAction2's GCNs do."""
    model = recognizer(build()).eval()
    views = torch.stack([clips(2, scores=scores, seed=s) for s in range(10)],
                        1)
    samples = [ActionDataSample().set_gt_label(0) for _ in range(2)]
    found = model(views, samples, mode='predict')
    for clip, sample in zip(views, found):
        logits = model.cls_head(model.backbone(clip))
        torch.testing.assert_close(sample.pred_score,
                                   logits.softmax(1).mean(0))


def test_sizes_of_the_specification():
    """Section 8.4."""

    def size(**kwargs):
        init_default_scope('mmaction')
        model = MODELS.build(dict(type='STRL', **kwargs))
        return sum(p.numel() for p in model.parameters())

    assert size() == 140_626
    assert size(share_person_encoder=False) == 217_828


@pytest.mark.parametrize('kwargs, message', [
    (dict(temporal='late'), "no temporal='late'"),
    (dict(interaction='cross'), "no interaction='cross'"),
    (dict(strides=(1, 2, 2), temporal='final'), "temporal='layer'"),
    (dict(strides=(1, 2)), 'one number each'),
    (dict(widths=()), 'one number each'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.parametrize('shape, message', [
    ((2, FRAMES, 17, 2), r'\(N, M, T, V, C\)'),
    ((2, 1, FRAMES, 20, 2), '20 joints'),
    ((2, 1, 16, 17, 2), r'num_frames=16.*clip_len=8'),
    ((2, 1, FRAMES, 17, 5), 'made for 2 coordinates'),
])
def test_wrong_inputs(shape, message):
    with pytest.raises(ValueError, match=message):
        build()(torch.randn(shape))
