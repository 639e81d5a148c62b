# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""HA-CM: the backbone, the model, several ranks, the converter."""
import json
import os

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from skel_ssl.apis import convert_state_dict
from skel_ssl.datasets.layouts import KINECT20
from skel_ssl.engine import CollapseMonitorHook
from skel_ssl.models.losses import CrossContrastLoss
from skel_ssl.models.ops.cross_masking import (
    group_sizes,
)
from skel_ssl.models.ops.hyperbolic import (
    ball_map,
)
from skel_ssl.models.ops.indices import gather_tokens
from tests.models.hacm_parts import (
    FRAMES,
    LIMBS,
    SEGMENTS,
    batch,
    build,
    losses_of,
    part,
    walks,
)
from tests.tools.conftest import free_port

# --------------------------------------------------------------- the backbone


def test_the_default_is_the_published_encoder():
    backbone = part('HyperbolicSkeletonTransformer')
    assert sum(p.numel() for p in backbone.parameters()) == 6331904
    assert (backbone.num_segments, backbone.num_joints) == (24, 18)
    assert backbone.token_joints.tolist() == [
        2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 24
    ]
    assert backbone.trunk_joints.tolist() == [0, 1, 4, 8, 12, 16, 20]
    assert {backbone.blocks[0].norm1.eps, backbone.norm.eps} == {1e-5}
    assert backbone.blocks[0].gamma_1 is None


def test_every_trained_weight_of_the_public_code_and_no_more():
    sizes = dict(layer_scale=None, norm_eps=1e-5)
    model = part(
        'CrossMaskedModel',
        backbone=dict(type='HyperbolicSkeletonTransformer'),
        neck=dict(
            type='TransformerDecoder',
            num_segments=24,
            num_joints=18,
            depth=3,
            **sizes),
        target=dict(type='BallMotionTarget'),
        head=dict(type='RegressionHead', out_dims=9),
        mask_generator=dict(type='CrossMask'))
    assert sum(p.numel() for p in model.parameters()) == 9064535 - 283726
    frozen = {n for n in model.state_dict() if n.startswith('mask_generator')}
    assert frozen == {
        f'mask_generator.{x}.{y}'
        for x in ('l1', 'l2') for y in ('weight', 'bias')
    }
    weight = model.mask_generator.l1.weight
    assert weight.abs().max().item() == pytest.approx(
        (6 / 512)**.5, rel=1e-3)  # Xavier uniform
    assert model.mask_generator.l1.bias.eq(0).all()


def test_features_of_clips_and_absent_persons():
    backbone = part(
        'HyperbolicSkeletonTransformer',
        layout='kinect20',
        num_frames=FRAMES,
        embed_dims=16,
        depth=2,
        num_heads=2).eval()
    clips = walks(6).view(3, 2, FRAMES, 20, 3)
    full = backbone(clips)
    assert full.shape == (3, 2, 16, SEGMENTS, LIMBS)
    clips[1, 1] = 0
    feats = backbone(clips)
    assert feats[1, 1].eq(0).all()
    torch.testing.assert_close(feats[[0, 2]], full[[0, 2]])
    # The trunk is no part of the features.
    clips[:, :, :, backbone.trunk_joints] += clips[:, :, :, :1]
    torch.testing.assert_close(backbone(clips), feats)
    assert backbone.get_layer_depth('pos_embed.spatial') == (0, 4)
    assert backbone.get_layer_depth('blocks.1.norm1.weight') == (2, 4)
    assert backbone.get_layer_depth('norm.weight') == (3, 4)
    tokens = backbone.embed(clips[0])
    kept = torch.tensor([[3, 40, 7], [0, 77, 12]])
    torch.testing.assert_close(
        backbone.embed(clips[0], kept), gather_tokens(tokens, kept))
    assert (tokens.norm(dim=-1) < 1).all()


def test_a_layout_of_ones_own():
    layout = dict(
        name='chain',
        joints=tuple('abcd'),
        bones=((1, 0), (2, 1), (3, 2)),
        parts=dict(root=(2, 0), rest=(3, 1)),
        centre=0)
    backbone = part(
        'HyperbolicSkeletonTransformer',
        layout=layout,
        trunk='root',
        num_frames=4,
        patch_len=2,
        embed_dims=8,
        depth=1,
        num_heads=2)
    assert backbone.token_joints.tolist() == [1, 3]
    persons = walks(2, 4, 4)
    assert backbone.encode(persons).shape == (2, 4, 8)
    trunk = persons[:, :, [0, 2]]
    by_hand = ball_map(backbone.joint_embed(trunk)).view(2, 2, 2, 8).mean(2)
    torch.testing.assert_close(backbone.null_points(persons), by_hand)


# ------------------------------------------------------------------- the model


def test_target_is_the_motion_of_the_limbs_in_the_ball():
    model = build()
    persons = walks(2) * 10
    limbs = [
        j for j in range(20) if j not in KINECT20.parts['torso']
    ]
    motion = torch.zeros(2, FRAMES, LIMBS, 3)
    motion[:, :-1] = persons[:, 1:, limbs] - persons[:, :-1, limbs]
    plain, ball = motion, ball_map(motion)
    for target_map, frames in (('none', plain), ('ball', ball)):
        model.target.target_map = target_map
        token = frames[1, 3:6, 4].flatten()  # segment 1, joint 4
        token = (token - token.mean()) / (token.var() + 1e-6).sqrt()
        torch.testing.assert_close(
            model.target(persons)[1, LIMBS + 4], token, atol=1e-5, rtol=1e-4)
    assert (plain - ball).abs().max() > .1


def test_weights_and_alpha():
    data = build().data_preprocessor(batch())
    uniform = (torch.rand(5, 39), torch.rand(5, 39))
    plain = build()
    rec, contrast = losses_of(plain, data, uniform).values()
    assert rec > 0 and contrast > 0
    for options, factors in ((dict(rec_weight=2., contrast_weight=.5),
                              (2., .5)), (dict(alpha=.25), (.75, .25))):
        model = build(**options)
        model.load_state_dict(plain.state_dict())
        found = losses_of(model, data, uniform)
        torch.testing.assert_close(found['loss_rec'], factors[0] * rec)
        torch.testing.assert_close(found['loss_contrast'],
                                   factors[1] * contrast)


@pytest.mark.parametrize('slips', [False, True])
def test_every_parameter_gets_a_gradient(slips):
    model = build(
        mask_generator=dict(legacy_order=slips),
        neck=dict(unshuffle='rank' if slips else 'position'))
    data = model.data_preprocessor(batch())
    before = model.mask_generator.l1.weight.clone()
    loss, _ = model.parse_losses(model(mode='loss', **data))
    loss.backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.ne(0).any(), name
        assert param.grad.isfinite().all(), name
    torch.optim.SGD(model.parameters(), 1.).step()
    assert torch.equal(model.mask_generator.l1.weight, before)


@pytest.mark.parametrize('absent, persons', [
    (((0, 1), ), 1),
    (((0, 0), (0, 1)), 0),
])
def test_one_person_or_none(absent, persons):
    model = build()
    data = model.data_preprocessor(batch(1, absent))
    assert len(data['inputs']) == persons
    losses = model(mode='loss', **data)
    assert losses['loss_contrast'].item() == 0
    assert (losses['loss_rec'] > 0) == bool(persons)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('slips', [False, True])
def test_a_step_never_waits_for_the_device(slips):
    """Tensors without values: the host cannot read any."""
    model = build(
        mask_generator=dict(legacy_order=slips),
        neck=dict(unshuffle='rank' if slips else 'position'))
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        persons = fake.from_tensor(walks(5))
        losses = model(persons, mode='loss')
        assert losses['loss_rec'].shape == losses['loss_contrast'].shape == ()
        with pytest.raises(DataDependentOutputException):
            losses['loss_rec'].item()


def test_a_clip_in_which_nothing_moves_and_zero_vectors():
    model = build()
    data = model.data_preprocessor(batch())
    data['inputs'][0] = data['inputs'][0, :1]
    data['inputs'][1] = 1.  # all joints in one place
    # Tokens at exactly zero: no bias and no places, and an absent person.
    data['inputs'][2] = 0.
    with torch.no_grad():
        model.backbone.joint_embed.proj.bias.zero_()
        model.backbone.pos_embed.spatial.zero_()
        model.backbone.pos_embed.temporal.zero_()
    assert model.target(data['inputs'])[:3].eq(0).all()
    losses = model(mode='loss', **data)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_saturated_radii():
    """Uncentred data in millimetres put every token at the boundary."""
    model = build()
    data = model.data_preprocessor(batch())
    data['inputs'] = data['inputs'] * 1000 + 3000
    losses = model(mode='loss', **data)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_bfloat16_autocast_keeps_float32_islands():
    model = build()
    data = model.data_preprocessor(batch())
    uniform = (torch.rand(5, 39), torch.rand(5, 39))
    exact = losses_of(model, data, uniform)
    made = model.hide(data['inputs'], uniform=uniform)
    with torch.autocast('cpu', torch.bfloat16):
        assert model.backbone.joint_embed(
            data['inputs'][:, :, :LIMBS]).dtype == torch.bfloat16
        assert model.backbone.embed(data['inputs']).dtype == torch.float32
        assert model.target(data['inputs']).dtype == torch.float32
        low = model.hide(data['inputs'], uniform=uniform)
        assert torch.equal(low.rank, made.rank)
        scores = model.mask_generator.scores(
            torch.randn(1, 4, 3, 16).bfloat16(), torch.zeros(1, 4, 16))
        assert {score.dtype for score in scores} == {torch.float32}
        losses = losses_of(model, data, uniform)
    for name, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[name], atol=.02, rtol=0)
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_absent_persons_are_no_negatives():
    model = build()
    data = batch(2, absent=((0, 1), ))
    uniform = (torch.rand(4, 39), torch.rand(4, 39))
    dropped = model.data_preprocessor(data)
    assert dropped['slots'].tolist() == [0, 2, 3]
    present = dropped['slots']
    less = losses_of(model, dropped, tuple(u[present] for u in uniform))
    model.data_preprocessor.skip_empty_persons = False
    every = model.data_preprocessor(data)
    more = losses_of(model, every, uniform)
    assert not torch.isclose(less['loss_contrast'], more['loss_contrast'])


def test_masks_are_drawn_anew():
    model = build()
    persons = walks(2)
    torch.manual_seed(3)
    one, other = model.hide(persons), model.hide(persons)
    assert not torch.equal(one.mask, other.mask)
    torch.manual_seed(3)
    assert torch.equal(model.hide(persons).mask, one.mask)
    # The temporal numbers are drawn first.
    torch.manual_seed(3)
    uniform = torch.rand(2, 39), torch.rand(2, 39)
    assert torch.equal(model.hide(persons, uniform=uniform).mask, one.mask)


def test_tensor_and_predict_modes():
    model = build()
    data = model.data_preprocessor(batch(views=3))
    feats = model(mode='tensor', **data)
    assert feats.shape == (15, SEGMENTS, LIMBS, 16)
    torch.manual_seed(1)
    rec = model(mode='loss', **data)['loss_rec'].detach()
    torch.manual_seed(1)
    samples = model(mode='predict', **data)
    assert samples[1].present.tolist() == [[True, False]] * 3
    for sample in samples:
        assert sample.mask.shape == (3, 2, SEGMENTS, LIMBS)
        assert sample.token_error.shape == sample.mask.shape
        assert sample.prediction.shape == sample.target.shape
        assert sample.target.shape == (3, 2, SEGMENTS, LIMBS, 9)
        hidden = sample.mask.sum((2, 3))[sample.present]
        assert hidden.eq(78 - 2 * 11).all()
    error = torch.cat(
        [s.token_error[s.mask & s.present[..., None, None]] for s in samples])
    torch.testing.assert_close(error.mean(), rec)


def test_collapse_monitor_sees_the_same_masks(tmp_path):
    data = batch(8, absent=((1, 1), ))
    clips = [
        dict(inputs=x, data_samples=s)
        for x, s in zip(data['inputs'], data['data_samples'])
    ]
    model = build()
    model.init_weights = lambda: None
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=DataLoader(clips, 4, collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        custom_hooks=[CollapseMonitorHook(interval=2, num_clips=8)],
        default_scope='mmaction',
        experiment_name=tmp_path.name,
        visualizer=dict(
            type='mmengine.Visualizer',
            name=tmp_path.name,
            vis_backends=[dict(type='LocalVisBackend')]))
    runner.train()
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text()
    found = [
        r['monitor/loss'] for r in map(json.loads, lines.splitlines())
        if 'monitor/loss' in r
    ]
    assert len(found) == 3 and found[0] > 0
    assert found == [found[0]] * 3


# --------------------------------------------------------------- several ranks


def shares(persons):
    """Unequal parts of a batch for two ranks, and its random numbers."""
    torch.manual_seed(5)
    data = walks(4)
    uniform = torch.rand(4, 39), torch.rand(4, 39)
    rows = dict(
        uneven=([0, 1, 2], [3]), one_empty=([], [0, 1, 2, 3]))[persons]
    return data, uniform, rows


def ranked_model(gather):
    torch.manual_seed(6)
    return build(contrast=dict(type='CrossContrastLoss', gather=gather))


def step(model, forward, persons, uniform):
    """Named losses and gradients of a step with given random numbers."""
    hide = model.hide
    model.hide = lambda inputs, *args: hide(inputs, *args, uniform=uniform)
    losses = forward(persons, mode='loss')
    sum(losses.values()).backward()
    grads = {n: p.grad for n, p in model.named_parameters()}
    return {k: v.item() for k, v in losses.items()}, {
        k: v.tolist() for k, v in grads.items()
    }


def one_rank(rank, port, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    found = {}
    for case in ('uneven', 'one_empty'):
        for gather in (True, False):
            persons, uniform, rows = shares(case)
            rows = torch.tensor(rows[rank], dtype=torch.long)
            model = ranked_model(gather)
            found[case, gather] = step(
                model, DistributedDataParallel(model), persons[rows],
                tuple(u[rows] for u in uniform))
    queue.put((rank, found))


def test_two_ranks_without_unused_parameters():
    queue = mp.get_context('spawn').Queue()
    context = mp.spawn(one_rank, (free_port(), queue), nprocs=2, join=False)
    try:
        ranks = dict(queue.get(timeout=240) for _ in range(2))
    finally:
        # Not joined, see tests/tools/test_distributed.py.
        for process in context.processes:
            process.kill()
    for case in ('uneven', 'one_empty'):
        persons, uniform, rows = shares(case)
        model = ranked_model(False)
        losses, grads = step(model, model, persons, uniform)
        for rank in (0, 1):
            # With gathering two ranks are one process.
            found_losses, found_grads = ranks[rank][case, True]
            assert found_losses == pytest.approx(losses, rel=1e-4)
            for name, grad in grads.items():
                torch.testing.assert_close(
                    torch.tensor(found_grads[name]), torch.tensor(grad),
                    atol=1e-5, rtol=1e-3, msg=name)
            # Without it, only the reconstruction is.
            local = ranks[rank][case, False][0]
            assert local['loss_rec'] == pytest.approx(
                losses['loss_rec'], rel=1e-4)
            own = rows[rank]
            alone = ranked_model(False)
            wanted, _ = step(alone, alone, persons[own],
                             tuple(u[own] for u in uniform))
            assert local['loss_contrast'] == pytest.approx(
                wanted['loss_contrast'], rel=1e-4, abs=1e-9)
        assert ranks[0][case, False][1] == ranks[1][case, False][1]


# ------------------------------------------------------- converter and errors


def test_converter_orders_drops_and_refuses():
    rows = torch.arange(7.).view(1, 7, 1, 1)
    public = dict(
        decoder_temp_embed=rows,
        temp_embed=rows,
        mask_token_t=torch.ones(1, 1, 4),
        mask_token_s=torch.zeros(1, 1, 4),
        mask_token=torch.zeros(1, 1, 4))
    for name in ('embed_t', 'embed_s', 'fc', 'fc_t', 'fc_s'):
        public[f'decoder_{name}.weight'] = torch.zeros(4, 4)
    public['l1.weight'] = torch.zeros(4, 4)
    ours = convert_state_dict(public, 'hacm')
    assert set(ours) == {
        'neck.pos_embed.temporal', 'backbone.pos_embed.temporal',
        'neck.mask_token', 'mask_generator.l1.weight'
    }
    # Listed first were the even segments 0, 2, 4, 6, then the odd ones.
    assert ours['neck.pos_embed.temporal'].flatten().tolist() == [
        0, 4, 1, 5, 2, 6, 3
    ]
    assert torch.equal(ours['backbone.pos_embed.temporal'], rows)
    assert ours['neck.mask_token'].eq(1).all()
    with pytest.raises(ValueError, match=r"not of hacm, such as \['l3"):
        convert_state_dict({**public, 'l3.weight': rows}, 'hacm')


def test_clear_errors():
    model = build()
    data = model.data_preprocessor(batch())
    mask = model.hide(data['inputs']).mask
    with pytest.raises(ValueError, match='remove the mask transform'):
        model(data['inputs'], mode='loss', mask=mask)
    with pytest.raises(ValueError, match="no mode 'train'"):
        model(data['inputs'], mode='train')
    with pytest.raises(ValueError, match="25 joints and layout 'kinect20'"):
        model(walks(1, joints=25), mode='loss')
    with pytest.raises(ValueError, match='set num_frames=21'):
        model(walks(1, 21), mode='loss')
    with pytest.raises(ValueError, match="unshuffle='rank'"):
        build(mask_generator=dict(legacy_order=True))
    with pytest.raises(ValueError, match="no part 'hull'.*'torso'"):
        build(backbone=dict(trunk='hull'))
    with pytest.raises(ValueError, match='hides everything of 39'):
        build(mask_generator=dict(mask_ratio=.99))
    with pytest.raises(ValueError, match='1 segment'):
        group_sizes(1, 18, .9)
    with pytest.raises(ValueError, match='tau=0 must be above 0'):
        build(mask_generator=dict(tau=0))
    with pytest.raises(ValueError, match="no select 'low'"):
        build(mask_generator=dict(select='low'))
    with pytest.raises(ValueError, match='distance_factor=0'):
        build(mask_generator=dict(distance_factor=0))
    with pytest.raises(ValueError, match="legacy_order='AD'"):
        build(mask_generator=dict(legacy_order='AD'))
    with pytest.raises(ValueError, match='alpha=0.5 stands for both'):
        build(alpha=.5, rec_weight=2.)
    with pytest.raises(ValueError, match='rec_weight=-1'):
        build(alpha=2)
    with pytest.raises(ValueError, match="no target_map 'disk'"):
        build(target=dict(type='BallMotionTarget', target_map='disk'))
    for pairs in ([('a', 'c')], [('a', )], []):
        with pytest.raises(ValueError, match='pair'):
            CrossContrastLoss(pairs=pairs)
    neck = build(neck=dict(unshuffle='rank')).neck
    with pytest.raises(ValueError, match='needs the ranking behind the mask'):
        neck(torch.zeros(1, 4, 16), model.hide(data['inputs']).indices)
