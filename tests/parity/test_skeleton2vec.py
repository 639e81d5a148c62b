# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Parity with arrays recorded from the public Skeleton2vec code."""
import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.apis import convert_state_dict
from skel_ssl.models.ops.ema import EMATeacher, annealed_decay
from skel_ssl.models.ops.indices import mask_to_indices
from skel_ssl.models.ops.masking import (
    motion_intensity,
    num_kept,
    ranks,
    tube_mask,
)
from skel_ssl.models.ops.pooling import pool_tokens
from skel_ssl.models.targets.teacher_target import normalise_layers
from skel_ssl.registry import MODELS
from tests.conftest import shared_file

PRESENT = [0, 1, 2, 4]  # clips 1 and 2 have no second person
LOSS = dict(position='per_segment_unshuffle', reference='reference')


@pytest.fixture(scope='module')
def golden():
    with np.load(shared_file('golden/skeleton2vec_golden.npz')) as z:
        return {k: z[k] for k in z.files}


def tensors(golden, prefix, new_prefix=''):
    return {
        new_prefix + k[len(prefix):]: torch.from_numpy(v)
        for k, v in golden.items() if k.startswith(prefix)
    }


@pytest.fixture(scope='module')
def weights(golden):
    public = tensors(golden, 'student/', 'auto_encoder.')
    public.update(tensors(golden, 'teacher/', 'ema.model.'))
    return convert_state_dict(public, 'skeleton2vec')


def build(weights, unshuffle='position', attention='fused'):
    init_default_scope('mmaction')
    sizes = dict(embed_dims=64, num_heads=4, attention=attention)
    model = MODELS.build(
        dict(
            type='MaskedSkeletonModel',
            backbone=dict(
                type='SkeletonTransformer', num_frames=24, depth=4, **sizes),
            neck=dict(
                type='TransformerDecoder',
                num_segments=8,
                in_dims=64,
                unshuffle=unshuffle,
                **sizes),
            target=dict(type='TeacherTarget', top_k=4),
            head=dict(type='RegressionHead', in_dims=64, out_dims=64)))
    if weights is None:
        return model
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert missing == ['target.teacher.steps']
    return model


@pytest.fixture(scope='module')
def model(weights):
    return build(weights)


@pytest.fixture(scope='module')
def persons(golden):
    return torch.from_numpy(golden['in/keypoint']).flatten(0, 2)


@pytest.fixture(scope='module')
def masking(golden, persons):
    uniform = torch.from_numpy(golden['mask/rand_uniform'])
    return tube_mask(
        motion_intensity(persons, 3), 0.9, tube_len=2, uniform=uniform)


def close(ours, recorded, atol=2e-5, rtol=0.):
    ours = ours.detach().numpy() if torch.is_tensor(ours) else ours
    np.testing.assert_allclose(ours, recorded, atol=atol, rtol=rtol)


def test_kept_counts_keep_the_published_rounding():
    assert [num_kept(25, r) for r in (.8, .85, .9, .95)] == [4, 3, 2, 1]
    assert num_kept(750, .9) == 74


def test_mask_is_bit_identical(golden, persons, masking):
    tubes = motion_intensity(persons, 3).unflatten(1, (-1, 2)).mean(2)
    close(tubes, golden['mask/intensity_raw'], atol=1e-7)
    rank = ranks(torch.from_numpy(golden['mask/score']))
    np.testing.assert_array_equal(
        masking.rank, rank.repeat_interleave(2, dim=1))
    np.testing.assert_array_equal(masking.rank, golden['mask/ids_restore'])
    np.testing.assert_array_equal(
        masking.mask.flatten(1), golden['mask/mask'].astype(bool))
    keep = torch.from_numpy(golden['mask/ids_keep'].astype(np.int64))
    shown = torch.zeros(masking.mask.shape, dtype=torch.bool)
    shown.scatter_(2, keep, True)
    assert (shown == ~masking.mask).all()


def in_rank_order(golden):
    """Flat positions of the recorded visible tokens, (P, K)."""
    keep = torch.from_numpy(golden['mask/ids_keep'].astype(np.int64))
    return (keep + 25 * torch.arange(8)[:, None]).flatten(1)


@pytest.mark.parametrize('attention', ['fused', 'plain'])
def test_student(golden, weights, persons, masking, attention):
    backbone = build(weights, attention=attention).backbone
    every = backbone.joint_embed(persons) + backbone.pos_embed()
    close(every, golden['student_tokens_all'])
    kept = in_rank_order(golden)
    tokens = backbone.joint_embed(persons, kept) + backbone.pos_embed(kept)
    close(tokens, golden['visible_tokens'])
    close(tokens, golden['student_hidden_0'])
    close(
        backbone.hidden_states(persons, kept)[-1], golden['student_hidden_4'])
    close(backbone.encode(persons, kept), golden['student_latent'])
    # Order does not matter: by position as in the model, then scattered.
    indices = mask_to_indices(masking.mask)
    ours = backbone.encode(persons, indices.kept)
    order = kept.argsort(1)[..., None].expand_as(ours)
    recorded = torch.from_numpy(golden['student_latent'])
    close(ours, recorded.gather(1, order))


@pytest.mark.parametrize('unshuffle', LOSS)
def test_prediction_loss_and_gradients(golden, weights, persons, masking,
                                       unshuffle):
    model = build(weights, unshuffle)
    indices = mask_to_indices(masking.mask)
    slots = torch.from_numpy(
        golden['decoder_slot_is_encoder_token/' +
               LOSS[unshuffle].replace('_unshuffle', '')]).bool()
    if unshuffle == 'reference':
        probe = model.neck._reference_grid(
            torch.ones(6, 16, 64), indices.kept, masking.rank)
        zeros = model.neck.mask_token.expand_as(probe)
        assert torch.equal((probe != zeros).any(-1).view(6, 8, 25), slots)
    else:
        assert torch.equal(~masking.mask, slots)
    decoded = model.decode(persons, indices, masking.rank)
    close(model.head(decoded), golden[f'pred/{LOSS[unshuffle]}'])
    loss = model(
        persons, mode='loss', mask=masking.mask, rank=masking.rank)['loss']
    close(loss, golden[f'loss/{LOSS[unshuffle]}'], atol=0, rtol=1e-5)
    loss.backward()
    _compare_gradients(golden, model, f'grad_l2/{LOSS[unshuffle]}')


def _compare_gradients(golden, model, key):
    """L2 norms; separate q, k, v of the public code make our qkv."""
    recorded = dict(zip(golden['grad_names'], golden[key]))
    ours = {
        n: p.grad.norm().item()
        for n, p in model.named_parameters() if p.grad is not None
    }
    assert not any('teacher' in n for n in ours)
    joined = {}
    for name, norm in recorded.items():
        parts = name.split('.')
        if len(parts) > 1 and parts[-2] in ('queries', 'keys', 'values'):
            parts[-2] = 'qkv'
        target = '.'.join(parts)
        joined[target] = np.hypot(joined.get(target, 0.), norm)
    renamed = {}
    for name, norm in joined.items():
        probe = convert_state_dict({name: torch.zeros(1, 1, 1, 1)},
                                   'skeleton2vec')
        renamed[next(iter(probe))] = norm
    assert renamed.keys() == ours.keys()
    for name, norm in renamed.items():
        close(np.array(ours[name]), norm, rtol=1e-5, atol=1e-7)


def test_target(golden, model, persons):
    layers = model.teacher.module.hidden_states(persons)
    close(layers[-1], golden['teacher_hidden_last'])
    close(model.target(persons), golden['target/in_top4_ln'])
    variants = {
        'ln_top4_ln': normalise_layers(layers, 'layer'),
        'in_top2_ln': normalise_layers(layers[-2:]),
        'in_top4_none': normalise_layers(layers, final_norm=False),
    }
    for name, target in variants.items():
        close(target[:, ::17, ::7], golden[f'target_slice/{name}'])
        sums = golden[f'target_stats/{name}'][1:]
        ours = [target.abs().sum().item(), target.square().sum().item()]
        close(np.array(ours), sums, atol=0, rtol=1e-5)


@pytest.mark.parametrize('unshuffle, expected', [('position', 1.2525602),
                                                 ('reference', 1.2611486)])
def test_loss_without_absent_persons(golden, weights, masking, unshuffle,
                                     expected):
    """Through the data preprocessor, as in training."""
    model = build(weights, unshuffle)
    samples = []
    for mask, rank in zip(
            masking.mask.unflatten(0, (3, 1, 2)),
            masking.rank.unflatten(0, (3, 1, 2))):
        sample = ActionDataSample()
        sample.set_field(mask, 'mask')
        sample.set_field(rank, 'mask_rank')
        samples.append(sample)
    clips = list(torch.from_numpy(golden['in/keypoint']))
    batch = model.data_preprocessor(dict(inputs=clips, data_samples=samples))
    assert batch['slots'].tolist() == PRESENT
    loss = model(mode='loss', **batch)['loss']
    assert loss.item() == pytest.approx(expected, rel=1e-5)




def test_teacher_after_one_update(golden, weights):
    model = build(weights)
    model.teacher.update_parameters(model.backbone, decay=0.9)
    after = tensors(golden, 'ema_after/', 'ema.model.')  # not all q, k, v
    recorded = convert_state_dict(
        {k: v for k, v in after.items() if '.attn.' not in k or 'proj' in k},
        'skeleton2vec')
    ours = model.state_dict()
    assert recorded
    for name, value in recorded.items():
        close(ours[name], value, atol=1e-6, rtol=1e-5)
    # Sums and norms of every encoder entry.
    state = {}
    for name, stats in zip(golden['ema_names'], golden['ema_sum_l2']):
        if name.startswith('encoder') and 'attn' not in name:
            probe = convert_state_dict({f'ema.model.{name}': torch.zeros(
                (1, 1, 1, 1))}, 'skeleton2vec')
            state[next(iter(probe))] = stats
    assert len(state) > 40
    for name, (total, norm) in state.items():
        close(ours[name].sum(), total, atol=1e-4)
        close(ours[name].norm(), norm, atol=1e-5, rtol=1e-5)


def test_decay_schedule(golden):
    ours = [annealed_decay(i, 0.9, 1.0, 10) for i in range(1, 13)]
    close(np.array(ours), golden['ema_decay_schedule_from_update_1'], 1e-7)
    assert annealed_decay(0, 0.9, 1.0, 10) == pytest.approx(0.9)


def test_evaluation_features_and_linear_probe(golden, weights):
    init_default_scope('mmaction')
    public = tensors(golden, 'student/')
    converted = convert_state_dict(public, 'skeleton2vec')
    backbone = MODELS.build(
        dict(
            type='SkeletonTransformer',
            num_frames=24,
            embed_dims=64,
            depth=4,
            num_heads=4,
            skip_empty_persons=False))
    backbone.load_state_dict({
        k[len('backbone.'):]: v
        for k, v in converted.items() if k.startswith('backbone.')
    })
    clips = torch.from_numpy(golden['in/keypoint'])[:, 0]
    feats = backbone.eval()(clips)  # N, M, D, S, V
    close(
        feats.flatten(0, 1).permute(0, 2, 3, 1).flatten(1, 2),
        golden['eval/features'])
    head = MODELS.build(
        dict(type='LinearProbeHead', num_classes=10, in_channels=64)).eval()
    probe = tensors(golden, 'eval/light/')
    names = {'2.': 'norm.', '4.': 'fc.'}
    head.load_state_dict({names[k[:2]] + k[2:]: v for k, v in probe.items()})
    close(head(feats), golden['eval/light_logits'])
    close(pool_tokens(feats), feats.mean(dim=(1, 3, 4)).detach().numpy(), 1e-6)


def test_teacher_equals_student_at_start_and_gets_no_gradient():
    model = build(None)
    model.init_weights()
    assert isinstance(model.teacher, EMATeacher)
    student = model.backbone.state_dict()
    for name, value in model.teacher.module.state_dict().items():
        assert torch.equal(value, student[name])
    assert not any(p.requires_grad for p in model.teacher.parameters())
