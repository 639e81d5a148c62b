# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parity with arrays recorded from the public MAMP code, and its MAE."""
import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.apis import convert_state_dict
from skel_ssl.models.ops.indices import gather_tokens, mask_to_indices
from skel_ssl.models.ops.masking import (
    frame_motion,
    motion_aware_mask,
    num_kept,
    patch_motion,
    random_mask,
)
from skel_ssl.models.targets.patch_targets import (
    normalise_patches,
    to_patches,
)
from skel_ssl.registry import MODELS
from tests.conftest import shared_file

PRESENT = [0, 1, 2, 4]  # clips 1 and 2 have no second person
SHAPE = (6, 6, 25)  # persons, segments, joints
MAMP = dict(type='MotionTarget')


@pytest.fixture(scope='module')
def golden():
    with np.load(shared_file('golden/mamp_golden.npz')) as z:
        return {k: z[k] for k in z.files}


@pytest.fixture(scope='module')
def persons(golden):
    return torch.from_numpy(golden['in/flat'])


@pytest.fixture(scope='module')
def weights(golden):
    public = {
        k[len('model/'):]: torch.from_numpy(v)
        for k, v in golden.items() if k.startswith('model/')
    }
    return convert_state_dict(public, 'mamp')


@pytest.fixture(scope='module')
def uniform(golden):
    return torch.from_numpy(golden['mask/rand_uniform'])


def build(weights, target):
    init_default_scope('mmaction')
    sizes = dict(
        embed_dims=64, num_heads=4, layer_scale=None, norm_eps=1e-5)
    model = MODELS.build(
        dict(
            type='MaskedSkeletonModel',
            backbone=dict(
                type='SkeletonTransformer',
                num_frames=24,
                patch_len=4,
                depth=4,
                **sizes),
            neck=dict(
                type='TransformerDecoder',
                num_segments=6,
                in_dims=64,
                **sizes),
            target=target,
            head=dict(type='RegressionHead', in_dims=64, out_dims=12)))
    model.load_state_dict(weights, strict=True)
    return model


def close(ours, recorded, atol=2e-5, rtol=0.):
    if isinstance(ours, torch.Tensor):
        ours = ours.detach().numpy()
    np.testing.assert_allclose(ours, recorded, atol=atol, rtol=rtol)


def test_input_is_flattened_clip_by_clip(golden, persons):
    clips = torch.from_numpy(golden['in/skeleton'])  # N, C, T, V, M
    assert torch.equal(clips.permute(0, 4, 2, 3, 1).flatten(0, 1), persons)


def test_motion_aware_mask(golden, persons, uniform):
    intensity = patch_motion(persons, 4)
    close(intensity.flatten(1), golden['mask/intensity'], atol=1e-7)
    masking = motion_aware_mask(intensity, .9, .8, uniform)
    assert (masking.mask.flatten(1).numpy() == golden['mask/mask']).all()
    assert (masking.rank.flatten(1).numpy() == golden['mask/ids_restore']
            ).all()
    order = masking.rank.flatten(1).argsort(1)[:, :num_kept(150, .9)]
    assert (order.numpy() == golden['mask/ids_keep']).all()


def test_uniform_mask(golden, persons, uniform):
    recorded = golden['mask/uniform_mask'].astype(bool)
    intensity = patch_motion(persons, 4)
    for masking in (random_mask(*SHAPE, .9, uniform),
                    motion_aware_mask(intensity, .9, 0., uniform)):
        assert (masking.mask.flatten(1).numpy() == recorded).all()


def test_targets(golden, persons):
    motion = frame_motion(persons)
    close(motion, golden['target/motion_frames'], atol=1e-7)
    patches = to_patches(motion, 4)
    close(patches, golden['target/motion_patches'], atol=1e-7)
    close(normalise_patches(patches), golden['target/motion_patches_normed'])
    close(
        normalise_patches(to_patches(persons, 4)),
        golden['target/joint_patches_normed'])


def test_stage_by_stage(golden, weights, persons, uniform):
    model = build(weights, MAMP)
    close(
        model.backbone.joint_embed(persons)[:, ::3],
        golden['tokens_before_pos'])
    masking = motion_aware_mask(patch_motion(persons, 4), .9, .8, uniform)
    indices = mask_to_indices(masking.mask)
    latent = model.backbone.encode(persons, indices.kept)
    # The public code lists visible tokens by rank, we by position.
    by_rank = masking.rank.flatten(1).gather(1, indices.kept).argsort(1)
    close(gather_tokens(latent, by_rank), golden['latent'])
    close(model.head(model.decode(persons, indices, None)), golden['pred'])


LOSSES = {
    'mamp': (MAMP, .8),
    'mamp_unnormalised_target': (dict(MAMP, normalise=None), .8),
    'mamp_stride2': (dict(MAMP, stride=2), .8),
    'mamp_uniform_mask': (MAMP, 0.),
    'mae': (dict(type='CoordinateTarget'), 0.),
}


@pytest.mark.parametrize('name', LOSSES)
def test_losses(golden, weights, persons, uniform, name):
    target, tau = LOSSES[name]
    model = build(weights, target)
    mask = motion_aware_mask(patch_motion(persons, 4), .9, tau, uniform).mask
    loss = model(persons, mode='loss', mask=mask)['loss']
    close(loss, golden[f'loss/{name}'], rtol=1e-5)
    if name == 'mae':
        pred = model.head(model.decode(persons, mask_to_indices(mask), None))
        close(pred[:, ::7], golden['pred_mae_slice'])
    if name == 'mamp':
        loss.backward()
        recorded = dict(zip(golden['grad_names'], golden['grad_l2/mamp']))
        ours = {k: p.grad.norm() for k, p in model.named_parameters()}
        some = torch.zeros(1, 1, 1, 1)
        renamed = {
            next(iter(convert_state_dict({k: some}, 'mamp'))): v
            for k, v in recorded.items()
        }
        assert renamed.keys() == ours.keys()
        for key, norm in renamed.items():
            close(ours[key], norm, atol=1e-7, rtol=1e-5)


def test_loss_without_absent_persons(golden, weights, persons, uniform):
    """Through the data preprocessor, as in training."""
    model = build(weights, MAMP)
    mask = motion_aware_mask(patch_motion(persons, 4), .9, .8, uniform).mask
    samples = []
    for clip in mask.unflatten(0, (3, 1, 2)):
        sample = ActionDataSample()
        sample.set_field(clip, 'mask')
        samples.append(sample)
    clips = list(persons.unflatten(0, (3, 1, 2)))
    batch = model.data_preprocessor(dict(inputs=clips, data_samples=samples))
    assert batch['slots'].tolist() == PRESENT
    loss = model(mode='loss', **batch)['loss']
    assert loss.item() == pytest.approx(2.9676141, rel=1e-5)


def test_evaluation_features(golden, weights, persons):
    """All tokens, after the final norm: (clip, person, patch, joint, D)."""
    model = build(weights, MAMP)
    backbone = model.backbone.eval()
    backbone.skip_empty_persons = False
    with torch.no_grad():
        feats = backbone(persons.unflatten(0, (3, 2)))
    close(feats.permute(0, 1, 3, 4, 2), golden['eval/features'])


def test_downstream_weights_convert(golden):
    for kind, head in (('linprobe', {'norm', 'fc'}), ('finetune',
                                                      {'norm', 'fc1', 'fc2'})):
        public = {
            k[len(f'eval/{kind}/'):]: torch.from_numpy(v)
            for k, v in golden.items() if k.startswith(f'eval/{kind}/')
        }
        ours = convert_state_dict(public, 'mamp')
        assert {k.split('.')[1] for k in ours} == head
        assert all(k.startswith('cls_head.') for k in ours)
