# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parity with arrays recorded from the public HA-CM code.

The recorded arrays list the even segments first, then the odd ones; ours are
in time order.
"""
import json

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.apis import convert_state_dict
from skel_ssl.datasets import PoseTemporalCropResize
from skel_ssl.datasets.transforms import geometry
from skel_ssl.models.ops.indices import gather_tokens
from skel_ssl.models.ops.masking import ranks
from skel_ssl.registry import MODELS
from tests.conftest import shared_file

GRID = torch.arange(8 * 18).view(8, 18)
GROUPS = torch.cat([GRID[0::2].flatten(), GRID[1::2].flatten()])
# What the recorded group of each setting repeats of the three slips.
SETTINGS = dict(
    ref='ABC', fix_A='BC', fix_B='AC', fix_C='AB', aligned='')
FIGURE = [('a', 'g'), ('b', 'g')]


@pytest.fixture(scope='module')
def golden():
    with np.load(shared_file('golden/hacm_golden.npz')) as z:
        return {k: z[k] for k in z.files}


def tensors(golden, prefix):
    return {
        k[len(prefix):]: torch.from_numpy(v)
        for k, v in golden.items() if k.startswith(prefix)
    }


@pytest.fixture(scope='module')
def weights(golden):
    return convert_state_dict(tensors(golden, 'sd/'), 'hacm')


@pytest.fixture(scope='module')
def persons(golden):
    clips = torch.from_numpy(golden['x'])  # B, C, T, V, M
    return clips.permute(0, 4, 2, 3, 1).flatten(0, 1).contiguous()


@pytest.fixture(scope='module')
def uniform(golden):
    return tuple(
        torch.from_numpy(golden[f'ref/{g}/uniform']) for g in ('t', 's'))


def build(weights, slips='', distance_factor=4., pairs=None):
    init_default_scope('mmaction')
    sizes = dict(embed_dims=64, num_heads=4, layer_scale=None, norm_eps=1e-5)
    model = MODELS.build(
        dict(
            type='CrossMaskedModel',
            backbone=dict(
                type='HyperbolicSkeletonTransformer',
                layout='ntu25',
                num_frames=24,
                depth=3,
                **sizes),
            neck=dict(
                type='TransformerDecoder',
                num_segments=8,
                num_joints=18,
                in_dims=64,
                depth=2,
                unshuffle='rank' if slips else 'position',
                **sizes),
            target=dict(type='BallMotionTarget', patch_len=3),
            head=dict(type='RegressionHead', in_dims=64, out_dims=9),
            mask_generator=dict(
                type='CrossMask',
                embed_dims=64,
                distance_factor=distance_factor,
                legacy_order=tuple(slips)),
            contrast=dict(
                type='CrossContrastLoss',
                **(dict(pairs=pairs) if pairs else {}))))
    model.load_state_dict(weights)
    return model


def close(ours, recorded, atol=2e-5):
    ours = ours.detach().numpy() if torch.is_tensor(ours) else ours
    np.testing.assert_allclose(ours, recorded, atol=atol, rtol=0)


def flat(score, by_joint):
    """``(P, S, V)`` in the order of the recorded lists."""
    return (score.transpose(1, 2) if by_joint else score).flatten(1)


def test_the_joints_are_those_of_the_public_code(golden, weights, persons):
    meta = json.loads(str(golden['meta']))
    backbone = build(weights).backbone
    assert backbone.token_joints.tolist() == meta['kept_joints']
    assert backbone.trunk_joints.tolist() == meta['null_joints']
    limbs = persons[:, :, backbone.token_joints]
    np.testing.assert_array_equal(limbs, golden['ref/x18'])
    np.testing.assert_array_equal(persons[:, :, backbone.trunk_joints],
                                  golden['ref/x_null'])
    close(
        backbone.joint_embed(limbs).unflatten(1, (8, 18)), golden['ref/emb'])


def test_tokens_and_scores(golden, weights, persons):
    model = build(weights)
    backbone, generator = model.backbone, model.mask_generator
    tokens = backbone.flat_tokens(persons).unflatten(1, (8, 18))
    even = tokens[:, 0::2]
    close(even, golden['ref/E_t'])
    close(generator.l1(even), golden['ref/q'])
    close(generator.l2(even), golden['ref/k'])
    points = backbone.embed(persons).unflatten(1, (8, 18))
    listed = points[:, 0::2].transpose(1, 2).flatten(1, 2)
    close(listed, golden['ref/t/tokens'])
    close(points[:, 1::2].flatten(1, 2), golden['ref/s/tokens'])

    temporal, spatial = generator.scores(tokens, backbone.null_points(persons))
    close(flat(temporal, True), golden['ref/t/score'])
    close(flat(spatial, True), golden['ref/s/score'], atol=1e-2)
    close(flat(temporal, False), golden['aligned/t/score'])
    close(flat(spatial, False), golden['aligned/s/score'], atol=1e-2)
    # The last source is the NULL point, weighted.
    null = torch.from_numpy(golden['ref/s/matrix'][:, :, -1]).transpose(1, 2)
    generator.null_weight = 0.
    without = generator.scores(tokens, backbone.null_points(persons))[1]
    close(spatial - without, null, atol=1e-3)


@pytest.mark.parametrize('setting', ['ref', 'aligned'])
def test_ids_are_identical(golden, weights, persons, uniform, setting):
    slips = SETTINGS[setting]
    made = build(weights, slips).hide(persons, uniform=uniform)
    even, odd = GRID[0::2], GRID[1::2]
    for group, place, tokens, kept in (
        ('t', even, even.t() if slips else even, made.indices.kept[:, :7]),
        ('s', odd, odd, made.indices.kept[:, 7:])):
        recorded = tensors(golden, f'{setting}/{group}/')
        keep = recorded['ids_keep'].long()
        assert torch.equal(kept, tokens.flatten()[keep])
        shown = recorded['ids_restore'] < 7
        assert torch.equal(shown, recorded['mask'] == 0)
        assert torch.equal(
            ~made.mask.flatten(1)[:, place.flatten()], shown)
    if slips:
        assert torch.equal(
            made.rank.flatten(1)[:, GROUPS],
            torch.from_numpy(golden['ref/ids_restore']).long())
        drawn = torch.from_numpy(golden['ref/s/perturbed'])
        assert torch.equal(
            ranks(-drawn),
            torch.from_numpy(golden['ref/s/ids_restore']).long())


@pytest.mark.parametrize('setting', SETTINGS)
def test_masks_predictions_and_losses(golden, weights, persons, uniform,
                                      setting):
    model = build(weights, SETTINGS[setting])
    made = model.hide(persons, uniform=uniform)
    np.testing.assert_array_equal(
        made.mask.flatten(1)[:, GROUPS], golden[f'{setting}/mask'] == 1)
    pred = model.head(model.decode(persons, made.indices, made.rank))
    close(pred[:, GROUPS], golden[f'{setting}/pred'], atol=5e-5)
    losses = model.loss(persons, made.indices, made.rank)
    for name in ('rec', 'contrast'):
        close(
            losses[f'loss_{name}'],
            golden[f'{setting}/loss_{name}'],
            atol=1e-5)
    close(sum(losses.values()), golden[f'{setting}/loss_total'], atol=1e-5)
    if setting == 'ref':
        close(sum(losses.values()), golden['f64/loss_total'], atol=1e-5)


@pytest.mark.parametrize('setting', ['ref', 'aligned'])
def test_encoder_decoder_and_target(golden, weights, persons, uniform,
                                    setting):
    model = build(weights, SETTINGS[setting])
    made = model.hide(persons, uniform=uniform)
    latent = model.backbone.encode(persons, made.indices.kept)
    close(latent, golden[f'{setting}/latent'], atol=5e-5)
    target = model.target(persons)[:, GROUPS]
    close(target, golden[f'{setting}/target_norm'], atol=5e-4)
    decoded = model.neck(latent, made.indices, made.rank)
    error = model.head.token_error(model.head(decoded)[:, GROUPS], target)
    close(error, golden[f'{setting}/loss_per_patch'], atol=5e-4)
    a, b = latent.split(7, dim=1)
    means = dict(
        first_half=(a.mean(1), latent.mean(1)),
        second_half=(b.mean(1), latent.mean(1)),
        inter=(a.mean(1), b.mean(1)))
    for name, (x, y) in means.items():
        close((x @ y.t()).softmax(1),
              golden[f'{setting}/contrast/{name}_softmax'])
        pair = dict(first_half='ag', second_half='bg', inter='ab')[name]
        model.contrast.pairs = (pair, )
        close(model.contrast(a, b), golden[f'{setting}/contrast/{name}'])
    if setting == 'ref':
        close(
            gather_tokens(model.backbone.embed(persons), made.indices.kept),
            golden['ref/enc_in'])
        grid = model.neck._ranked_grid(model.neck.embed(latent), made.rank)
        grid = grid + model.neck.pos_embed()
        close(grid[:, GROUPS], golden['ref/dec_in'])
        close(decoded[:, GROUPS], golden['ref/dec_out'], atol=5e-5)
        model.target.normalise = None
        close(model.target(persons)[:, GROUPS], golden['ref/target'])


def gradients(model, persons, uniform):
    made = model.hide(persons, uniform=uniform)
    sum(model.loss(persons, made.indices, made.rank).values()).backward()
    return {n: p.grad for n, p in model.named_parameters()}


def test_gradients_of_the_legacy_order(golden, weights, persons, uniform):
    ours = gradients(build(weights, 'ABC'), persons, uniform)
    recorded = convert_state_dict(tensors(golden, 'ref/grad/'), 'hacm')
    assert recorded.keys() == ours.keys()
    for name, grad in recorded.items():
        scale = grad.abs().max().item()
        close(ours[name], grad, atol=1e-4 * scale)
    # What has no gradient there is no parameter here.
    idle = {n: torch.zeros(1) for n in golden['ref/params_without_grad']}
    assert len(idle) == 16
    assert set(convert_state_dict(idle, 'hacm')) == {
        f'mask_generator.{x}.{y}'
        for x in ('l1', 'l2') for y in ('weight', 'bias')
    }


def test_gradient_norms_of_the_default_order(golden, weights, persons,
                                             uniform):
    ours = gradients(build(weights), persons, uniform)
    recorded = {}
    for name, norm in tensors(golden, 'aligned/grad_norm/').items():
        converted = convert_state_dict({name: norm.view(1, 1, 1, 1)}, 'hacm')
        recorded.update(converted)
    assert recorded.keys() == ours.keys()
    for name, norm in recorded.items():
        assert ours[name].norm().item() == pytest.approx(
            norm.item(), rel=1e-4), name


def test_three_optimizer_steps(golden, weights, persons):
    model = build(weights, 'ABC')
    decayed, others = [], []
    for name, param in model.named_parameters():
        plain = param.ndim == 1 or name.endswith('.bias')
        (others if plain else decayed).append(param)
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=.05),
         dict(params=others, weight_decay=0.)],
        lr=1e-3,
        betas=(.9, .95))
    for noise, recorded in zip(
            torch.from_numpy(golden['steps/uniform']), golden['steps/losses']):
        made = model.hide(persons, uniform=tuple(noise))
        loss = sum(model.loss(persons, made.indices, made.rank).values())
        close(loss, recorded, atol=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = tensors(golden, 'steps/after/')
    idle = after.pop('mask_token_s')
    assert torch.equal(idle, torch.from_numpy(golden['sd/mask_token_s']))
    state = model.state_dict()
    after = convert_state_dict(after, 'hacm')
    assert len(after) == 6
    for name, value in after.items():
        close(state[name], value, atol=5e-5)
    assert torch.equal(state['mask_generator.l1.weight'],
                       weights['mask_generator.l1.weight'])


@pytest.mark.parametrize('factor', [2., 4.])
@pytest.mark.parametrize('pairs, rec, contrast', [
    (None, 1.5433363, 0.0685479),
    (FIGURE, 1.5433363, 0.0444063),
])
def test_without_absent_persons(golden, weights, uniform, factor, pairs, rec,
                                contrast):
    """Our default, through the data preprocessor, as in training."""
    model = build(weights, '', factor, pairs)
    clips = torch.from_numpy(golden['x']).permute(0, 4, 2, 3, 1)[:, None]
    batch = model.data_preprocessor(
        dict(
            inputs=list(clips),
            data_samples=[ActionDataSample() for _ in clips]))
    present = batch['slots']
    assert present.tolist() == [0, 1, 2, 4]
    made = model.hide(
        batch['inputs'], uniform=tuple(u[present] for u in uniform))
    recorded = golden['aligned/mask'][present] == 1
    np.testing.assert_array_equal(made.mask.flatten(1)[:, GROUPS], recorded)
    losses = model.loss(batch['inputs'], made.indices, made.rank)
    close(losses['loss_rec'], rec, atol=1e-5)
    close(losses['loss_contrast'], contrast, atol=1e-5)


def test_evaluation_features(golden, weights, persons):
    backbone = build(weights).backbone.eval()
    backbone.skip_empty_persons = False
    feats = backbone(persons.unflatten(0, (3, 2)))  # N, M, D, S, V
    feats = feats.flatten(0, 1).permute(0, 2, 3, 1).flatten(1, 2)
    close(feats, golden['eval/features'])


def test_feeder(golden):
    clip = golden['feeder/raw'].transpose(3, 1, 2, 0)  # M, T, V, C

    def run(keypoint, interval):
        results = PoseTemporalCropResize(24, interval)(
            dict(keypoint=keypoint, total_frames=keypoint.shape[1]))
        return results['keypoint'].transpose(3, 1, 2, 0)

    close(run(clip, (.95, )), golden['feeder/test_p095'])
    start, length = golden['feeder/train_seed11_crop']
    crop = clip[:, start:start + length]
    close(run(crop, (1., )), golden['feeder/train_seed11'])
    close(
        geometry.rotation_matrix(golden['feeder/rot_angles'][0]),
        golden['feeder/rot_matrix'][0],
        atol=1e-6)
