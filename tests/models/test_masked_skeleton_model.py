# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The algorithm: modes, absent persons, gradients, errors, precision."""
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.models.ops.indices import mask_to_indices
from skel_ssl.models.ops.masking import tube_mask
from skel_ssl.registry import MODELS


def build(**kwargs):
    init_default_scope('mmaction')
    sizes = dict(embed_dims=16, num_heads=2)
    cfg = dict(
        type='MaskedSkeletonModel',
        backbone=dict(
            type='SkeletonTransformer', num_frames=12, depth=2, **sizes),
        neck=dict(
            type='TransformerDecoder',
            num_segments=4,
            in_dims=16,
            depth=1,
            **sizes),
        target=dict(type='TeacherTarget', top_k=2),
        head=dict(type='RegressionHead', in_dims=16, out_dims=16))
    model = MODELS.build({**cfg, **kwargs})
    model.init_weights()
    return model


def batch(num_clips=3, absent=((1, 1), ), views=1, seed=0):
    """Raw output of a data loader; two person slots a clip."""
    torch.manual_seed(seed)
    clips = torch.randn(num_clips, views, 2, 12, 25, 3)
    for clip, person in absent:
        clips[clip, :, person] = 0
    samples = []
    for _ in range(num_clips):
        mask = tube_mask(torch.rand(views * 2, 4, 25), tube_len=2).mask
        sample = ActionDataSample()
        sample.set_field(mask.unflatten(0, (views, 2)), 'mask')
        samples.append(sample)
    return dict(inputs=list(clips), data_samples=samples)


def test_loss_is_the_mean_over_present_persons_hidden_tokens():
    model = build()
    data = model.data_preprocessor(batch())
    assert data['slots'].tolist() == [0, 1, 2, 4, 5]
    loss = model(mode='loss', **data)['loss']
    # Person by person, by hand.
    total = 0.
    for person, mask in zip(data['inputs'], data['mask']):
        indices = mask_to_indices(mask[None])
        target = model.target(person[None])[0][mask.flatten()]
        latent = model.backbone.encode(person[None], indices.kept)
        pred = model.head(model.neck(latent, indices))[0][mask.flatten()]
        total += (pred - target).square().mean()
    torch.testing.assert_close(loss, total / 5)


def test_absent_persons_change_nothing():
    """Dropped, not merely weighted: a clip alone gives the same loss."""
    model = build()
    lone = batch(absent=((0, 1), (1, 1), (2, 1)))
    with_slots = model(mode='loss', **model.data_preprocessor(lone))['loss']
    for sample in lone['data_samples']:
        sample.mask = sample.mask[:, :1]
    lone['inputs'] = [clip[:, :1] for clip in lone['inputs']]
    without = model(mode='loss', **model.data_preprocessor(lone))['loss']
    assert torch.equal(with_slots, without)
    model = build(
        data_preprocessor=dict(
            type='PersonDataPreprocessor', skip_empty_persons=False))
    assert len(model.data_preprocessor(batch())['inputs']) == 6


def test_permuting_the_batch_permutes_predictions():
    model = build()
    data = model.data_preprocessor(batch())
    order = torch.tensor([4, 2, 0, 1, 3])
    indices = mask_to_indices(data['mask'])
    one = model.decode(data['inputs'], indices, None)
    other = model.decode(data['inputs'][order],
                          mask_to_indices(data['mask'][order]), None)
    torch.testing.assert_close(other, one[order])


def test_gradients_reach_every_trained_parameter_and_no_other():
    model = build()
    model(mode='loss', **model.data_preprocessor(batch()))['loss'].backward()
    for name, param in model.named_parameters():
        if name.startswith('target.'):
            assert param.grad is None and not param.requires_grad
        else:
            assert param.grad is not None, name


def test_a_batch_without_any_person():
    model = build()
    data = model.data_preprocessor(
        batch(2, absent=((0, 0), (0, 1), (1, 0), (1, 1))))
    assert data['inputs'].shape == (0, 12, 25, 3)
    loss = model(mode='loss', **data)['loss']
    assert loss.item() == 0
    loss.backward()
    for name, param in model.named_parameters():
        if param.requires_grad:
            assert param.grad is not None and param.grad.eq(0).all(), name


def test_tensor_mode_gives_features():
    model = build()
    data = model.data_preprocessor(batch())
    feats = model(mode='tensor', **data)
    assert feats.shape == (5, 4, 25, 16)
    torch.testing.assert_close(
        feats.flatten(1, 2), model.backbone.encode(data['inputs']))


@pytest.mark.parametrize('keep', [True, False])
def test_predict_mode_fills_the_samples(keep):
    model = build(keep_reconstruction=keep)
    data = model.data_preprocessor(batch(views=2))
    loss = model(mode='loss', **data)['loss']
    samples = model(mode='predict', **data)
    assert len(samples) == 3
    assert samples[1].present.tolist() == [[True, False]] * 2
    for sample in samples:
        assert sample.feature.shape == (2, 2, 16)
        assert sample.token_error.shape == sample.mask.shape == (2, 2, 4, 25)
        assert ('prediction' in sample) == ('target' in sample) == keep
    assert samples[1].feature[:, 1].eq(0).all()
    hidden = torch.cat(
        [s.token_error[s.mask & s.present[..., None, None]] for s in samples])
    torch.testing.assert_close(hidden.mean(), loss.detach())
    if keep:
        error = (samples[0].prediction - samples[0].target).square().mean(-1)
        torch.testing.assert_close(error, samples[0].token_error)


def test_the_teacher_sees_everything_and_does_not_train():
    model = build()
    assert not model.train().teacher.training
    student = model.backbone.state_dict()
    for name, value in model.teacher.module.state_dict().items():
        assert torch.equal(value, student[name])


def test_bfloat16_autocast_keeps_float32_islands():
    model = build()
    data = model.data_preprocessor(batch())
    exact = model(mode='loss', **data)['loss']
    with torch.autocast('cpu', torch.bfloat16):
        assert model.backbone.joint_embed(
            data['inputs']).dtype == torch.bfloat16
        assert model.target(data['inputs']).dtype == torch.float32
        loss = model(mode='loss', **data)['loss']
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=.02, rtol=0)
    loss.backward()
    assert all(
        p.grad.isfinite().all() for p in model.parameters()
        if p.requires_grad)


def test_clear_errors():
    model = build()
    data = model.data_preprocessor(batch())
    with pytest.raises(ValueError, match='needs a mask'):
        model(data['inputs'], mode='loss')
    with pytest.raises(ValueError, match="no mode 'train'"):
        model(data['inputs'], mode='train')
    with pytest.raises(ValueError, match='2 segments.*has 4.*clip_len=12'):
        model(data['inputs'], mode='loss', mask=data['mask'][:, :2])
    with pytest.raises(ValueError, match='20 joints.*has 25.*num_joints=20'):
        model(data['inputs'], mode='loss', mask=data['mask'][..., :20])
    with pytest.raises(ValueError, match='top_k=3 .* 2 blocks'):
        build(target=dict(type='TeacherTarget', top_k=3))
    with pytest.raises(ValueError, match="no layer_norm 'batch'"):
        build(target=dict(type='TeacherTarget', layer_norm='batch'))
    bad = batch()
    bad['inputs'][1][0, 0, 3, 4] = float('inf')
    with pytest.raises(ValueError, match='NaN or infinite'):
        model.data_preprocessor(bad)
    bad['inputs'] = [clip[0] for clip in bad['inputs']]
    with pytest.raises(ValueError, match=r'\(B, num_clips, M, T, V, C\)'):
        model.data_preprocessor(bad)


def test_a_mask_that_is_no_tensor():
    data = batch()
    for sample in data['data_samples']:
        sample.set_field(sample.mask.numpy(), 'mask')
    with pytest.raises(TypeError, match="'mask' of a clip is a ndarray, not "
                                        'a tensor: .*torch.from_numpy'):
        build().data_preprocessor(data)


def test_a_target_of_other_tokens():
    motion = dict(type='MotionTarget', patch_len=6)
    head = dict(type='RegressionHead', in_dims=16, out_dims=18)
    with pytest.raises(ValueError, match='patch_len=6 and the backbone 3.*set '
                                         'target.patch_len=3, and head.out_'):
        build(target=motion, head=head)


@pytest.mark.parametrize('width', [1, 15])
def test_a_head_of_another_width(width):
    """A width of 1 would be compared with every one of the target's."""
    model = build(
        head=dict(type='RegressionHead', in_dims=16, out_dims=width))
    data = model.data_preprocessor(batch())
    said = rf', {width}\) and the targets .*, 16\): set the out_dims.*, 16$'
    with pytest.raises(ValueError, match=said):
        model(mode='loss', **data)


def test_a_teacher_with_weights_is_not_initialised_again(tmp_path):
    model = build()
    with torch.no_grad():
        model.teacher.module.norm.weight.fill_(7)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    loaded = build(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    trained = build()
    trained.teacher.update_parameters(model.backbone, .5)
    with torch.no_grad():
        trained.teacher.module.norm.weight.fill_(3)
    trained.init_weights()
    assert (loaded.backbone.norm.weight == 1).all()
    assert (loaded.teacher.module.norm.weight == 7).all()
    assert (trained.teacher.module.norm.weight == 3).all()


def test_reference_unshuffle_needs_the_ranking():
    neck = dict(
        type='TransformerDecoder',
        num_segments=4,
        in_dims=16,
        embed_dims=16,
        num_heads=2,
        depth=1,
        unshuffle='reference')
    model = build(neck=neck)
    with pytest.raises(ValueError, match='return_rank=True'):
        model(mode='loss', **model.data_preprocessor(batch()))
    for name, number in dict(num_joints=17, num_segments=5).items():
        with pytest.raises(ValueError, match=f'{name}={number} .*backbone'):
            build(neck=dict(neck, **{name: number}))
    with pytest.raises(ValueError, match="no unshuffle 'none'"):
        build(neck=dict(neck, unshuffle='none'))


def test_full_size_reference_grid_fills_the_first_segments():
    init_default_scope('mmaction')
    neck = MODELS.build(
        dict(type='TransformerDecoder', unshuffle='reference', depth=0))
    masking = tube_mask(torch.rand(2, 30, 25))
    indices = mask_to_indices(masking.mask)
    grid = neck._reference_grid(
        torch.ones(2, 60, 256), indices.kept, masking.rank)
    placed = (grid != neck.mask_token).any(-1).view(2, 30, 25).sum(2)
    assert placed.tolist() == [[25, 25, 10] + [0] * 27] * 2
