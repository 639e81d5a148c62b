# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The monitor sees a collapse, and the training does not see the monitor."""
import json
import math
from pathlib import Path

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from skel_ssl.engine import CollapsedError, CollapseMonitorHook
from skel_ssl.evaluation.collapse import effective_rank, mean_pairwise_cosine
from skel_ssl.models.ops.masking import random_mask
from skel_ssl.registry import MODELS

NUM_CLIPS, BATCH_SIZE = 12, 4
GRID = (3, 5)
# 3 iterations an epoch.
STEPS = NUM_CLIPS // BATCH_SIZE


class Clips(Dataset):
    """Poses, rotated and masked by the global generator."""

    def __init__(self, num_clips=NUM_CLIPS, masks=True):
        generator = torch.Generator().manual_seed(0)
        self.clips = torch.randn(
            num_clips, 1, 2, 6, 5, 3, generator=generator)
        self.clips[::3, :, 1] = 0
        self.masks = masks

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, idx):
        sample = ActionDataSample()
        if self.masks:
            mask = random_mask(2, *GRID, mask_ratio=.6).mask
            sample.set_field(mask[None], 'mask')
        clip = self.clips[idx] * (1 + torch.rand(()))
        return dict(inputs=clip, data_samples=sample)


class Coordinates(nn.Module):
    """A target generator without a teacher."""

    def forward(self, persons):
        tokens = persons.unflatten(1, (GRID[0], -1)).transpose(2, 3)
        return tokens.flatten(3).flatten(1, 2)


def build(constant=False, **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    sizes = dict(num_joints=5, embed_dims=8, num_heads=2)
    cfg = dict(
        type='MaskedSkeletonModel',
        backbone=dict(
            type='SkeletonTransformer',
            num_frames=6,
            patch_len=2,
            depth=2,
            drop_path_rate=.3,
            **sizes),
        neck=dict(
            type='TransformerDecoder',
            num_segments=3,
            in_dims=8,
            depth=1,
            **sizes),
        target=dict(type='TeacherTarget', top_k=2),
        head=dict(type='RegressionHead', in_dims=8, out_dims=8))
    model = MODELS.build({**cfg, **kwargs})
    model.init_weights()
    if constant:
        weight = model.backbone.joint_embed.proj.weight
        weight.data.zero_()
        weight.requires_grad_(False)
        model.teacher.copy_from(model.backbone)
    # The runner is not to initialise again.
    model.init_weights = lambda: None
    return model


def train(work_dir,
          model=None,
          hook=None,
          data=None,
          max_epochs=3,
          decay=.9,
          **kwargs):
    """Train with the monitor (or without: ``hook=False``)."""
    torch.manual_seed(0)
    model = model or build()
    hooks = []
    if hook is not False:
        hooks.append(hook or CollapseMonitorHook(interval=4))
    if getattr(model, 'teacher', None) is not None:
        hooks.append(
            dict(
                type='EMATeacherHook',
                start_decay=decay,
                end_decay=decay,
                anneal_steps=99))
    settings = dict(
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)))
    settings.update(kwargs)
    name = f'{work_dir}{max_epochs}{hook is not False}'
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=DataLoader(
            data or Clips(),
            BATCH_SIZE,
            shuffle=True,
            collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        custom_hooks=hooks,
        default_scope='mmaction',
        experiment_name=name,
        visualizer=dict(
            type=Visualizer,
            name=name,
            vis_backends=[dict(type='LocalVisBackend')]),
        randomness=dict(seed=0),
        **settings)
    runner.train()
    return runner


def records(work_dir):
    """What the monitor wrote, of all runs in the folder."""
    lines = []
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        lines += [json.loads(x) for x in path.read_text().splitlines()]
    return [x for x in lines if 'monitor/loss' in x]


def log_of(work_dir):
    return ''.join(x.read_text() for x in Path(work_dir).glob('*/*.log'))


def test_a_healthy_run(tmp_path):
    """Nothing is flagged, and the figures are those of the model."""
    hook = CollapseMonitorHook(interval=3, num_clips=6)
    runner = train(tmp_path, hook=hook)
    found = records(tmp_path)
    assert [r['step'] for r in found] == [0, 3, 6, 9]
    assert 'monitor/time_share' not in found[0]
    assert all(0 < r['monitor/time_share'] < 1 for r in found[1:])
    log = log_of(tmp_path)
    assert log.count('collapse monitor, iteration') == 4
    assert 'collapsed' not in log and 'learned' not in log
    # The training's own records are left as they were.
    scalars = next(tmp_path.glob('*/vis_data/scalars.json')).read_text()
    losses = [r for r in map(json.loads, scalars.splitlines()) if 'loss' in r]
    assert [r['step'] for r in losses] == list(range(1, 10))

    # The last check by hand, all clips at once.
    clips = [
        sample
        for batch in hook._batches for sample in zip(*batch.values())
    ]
    assert len(clips) == 6 and len(hook._batches) == 2
    model = runner.model.eval()
    data = model.data_preprocessor(
        pseudo_collate([
            dict(inputs=clip, data_samples=sample) for clip, sample in clips
        ]))
    last = found[-1]
    with torch.no_grad():
        loss = model(mode='loss', **data)['loss']
        student = model.extract_feat(data['inputs']).mean((1, 2))
        teacher = model.teacher.module
        raw = torch.stack(teacher.hidden_states(data['inputs'])).mean(0)
        target = model.target(data['inputs'])
        pred = model.head(
            model.decode(data['inputs'], data['indices'], None))
    hidden = data['mask'].flatten(1)
    wanted = dict(
        loss=loss,
        student_rank=effective_rank(student),
        student_rank_centred=effective_rank(student, centre=True),
        teacher_cosine=mean_pairwise_cosine(
            teacher.encode(data['inputs']).mean(1)),
        target_raw_std_mean=raw.flatten(0, 1).std(0, correction=0).mean(),
        target_raw_std_min=raw.flatten(0, 1).std(0, correction=0).min(),
        target_std_mean=target.flatten(0, 1).std(0, correction=0).mean(),
        target_var_hidden=target[hidden].var(0, correction=0).mean(),
        target_var_visible=target[~hidden].var(0, correction=0).mean(),
        pred_std_mean=pred[hidden].std(0, correction=0).mean())
    for name, value in wanted.items():
        assert last[f'monitor/{name}'] == pytest.approx(
            float(value), rel=1e-4), name
    assert last['monitor/loss_ratio'] == (
        last['monitor/loss'] / last['monitor/const_loss'])
    # The constant is that of a batch, so a little better than one for all.
    assert .8 < (last['monitor/const_loss'] /
                 last['monitor/target_var_hidden']) < 1


def test_a_check_comes_after_the_teacher_has_moved(tmp_path):
    """A teacher with a decay of 0 is the student that has just stepped."""
    train(
        tmp_path,
        hook=CollapseMonitorHook(1),
        decay=0,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.)))
    spreads = [r['monitor/student_spread'] for r in records(tmp_path)]
    assert len(set(spreads)) == len(spreads) == 10
    for record in records(tmp_path):
        for name in ('rank', 'rank_centred', 'cosine', 'spread'):
            assert (record[f'monitor/teacher_{name}'] ==
                    record[f'monitor/student_{name}'])


def test_the_training_does_not_see_the_monitor(tmp_path):
    """Bit for bit, with random data, masks and drop path."""
    watched = train(tmp_path / 'watched', hook=CollapseMonitorHook(1))
    alone = train(tmp_path / 'alone', hook=False)
    for (name, one), other in zip(watched.model.state_dict().items(),
                                  alone.model.state_dict().values()):
        assert torch.equal(one, other), name
    assert len(records(tmp_path / 'watched')) == 10


def test_the_probe_is_the_same_in_every_run(tmp_path):
    hooks = [CollapseMonitorHook(99, num_clips=5, seed=s) for s in (1, 1, 2)]
    for i, hook in enumerate(hooks):
        data = Clips()
        torch.rand(i)
        train(tmp_path / str(i), hook=hook, data=data, max_epochs=1)
    same, again, other = (hook._batches for hook in hooks)
    assert [len(batch['inputs']) for batch in same] == [3, 2]
    for i, batch in enumerate(same):
        for j, clip in enumerate(batch['inputs']):
            # Evenly spaced: 0, 2, 4, 7, 9, in turn for the two batches.
            place = (i + 2 * j) * NUM_CLIPS // 5
            scale = clip[0, 0] / data.clips[place][0, 0]
            torch.testing.assert_close(scale, scale[0, 0, 0].expand(6, 5, 3))
            assert torch.equal(clip, again[i]['inputs'][j])
            assert not torch.equal(clip, other[i]['inputs'][j])


def test_modes_and_generators_are_left_alone(tmp_path):
    """Also of a module that was put into eval mode on its own."""
    hook = CollapseMonitorHook(99)
    runner = train(tmp_path, hook=hook, max_epochs=1)
    model = runner.model.train()
    model.neck.eval()
    modes = [module.training for module in model.modules()]
    assert True in modes and False in modes
    state = torch.get_rng_state()
    seen = []

    def token_error(pred, target):
        torch.rand(1)
        seen.append(model.training or pred.requires_grad)
        return (pred - target).mean(-1)

    model.head.token_error = token_error
    hook._check(runner, 7)
    assert seen and not any(seen)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_a_constant_encoder_is_flagged(tmp_path):
    train(tmp_path, build(constant=True))
    assert [r['step'] for r in records(tmp_path)] == [0, 4, 8, 9]
    assert all(r['monitor/student_spread'] < 1e-4 for r in records(tmp_path))
    for step in (0, 4, 8, 9):
        assert (f'collapsed at iteration {step}: student: the features are '
                'constant') in log_of(tmp_path)


def test_abort(tmp_path):
    hook = CollapseMonitorHook(interval=4, abort=True)
    with pytest.raises(CollapsedError, match='(?s)iteration 0: student: the '
                       'features are constant.*Lower the learning rate.*'
                       f'are in {tmp_path}'):
        train(tmp_path, build(constant=True), hook)
    assert [r['step'] for r in records(tmp_path)] == [0]


class Scripted(CollapseMonitorHook):
    """Returns given figures in place of measured ones."""

    def __init__(self, script, **kwargs):
        super().__init__(interval=1, **kwargs)
        self.script = iter(script)

    def _measure(self):
        return {**super()._measure(), **next(self.script)}


def ranks(*values):
    return [dict(student_rank_centred=v) for v in values]


def test_a_lost_rank_needs_patience(tmp_path):
    """Of 11, a fifth of the excess over 1 is 2, so 3 is the limit."""
    script = ranks(11., 2., 2.9, 3.1, 2.9, 2.9, 2.9)
    train(tmp_path, hook=Scripted(script, patience=3), max_epochs=2)
    log = log_of(tmp_path)
    assert log.count('has collapsed') == 1
    assert ('collapsed at iteration 6: student: the centred effective rank '
            'is 2.9, after 11 at the first check, for 3 checks') in log
    hook = Scripted(ranks(11., 2.9, 2.9), patience=2, abort=True)
    with pytest.raises(CollapsedError, match='iteration 2: student: the cent'):
        train(tmp_path / 'abort', hook=hook)
    hook = Scripted(ranks(11., *6 * [1.]), patience=1, rank_fraction=0)
    train(tmp_path / 'off', hook=hook, max_epochs=2)
    assert 'has collapsed' not in log_of(tmp_path / 'off')


def test_nothing_learned_is_a_warning_only(tmp_path):
    """The first check is before any learning and does not count."""
    ratios = 1.1, .995, 1., .98, 1., 1.2, 1.
    script = [dict(loss_ratio=r) for r in ratios]
    hook = Scripted(script, patience=3, abort=True)
    train(tmp_path, hook=hook, max_epochs=2)
    log = log_of(tmp_path)
    assert log.count('nothing has been learned') == 1
    assert 'nothing has been learned at iteration 6: for 3 checks' in log


@pytest.mark.parametrize('key, name', [
    ('target_raw_spread', 'targets before normalisation'),
    ('target_spread', 'targets'),
])
def test_constant_targets(tmp_path, key, name):
    hook = Scripted(4 * [{key: .01}], abort=True)
    with pytest.raises(
            CollapsedError, match=f': the {name} are constant: they vary by '
            '0.01'):
        train(tmp_path, hook=hook)


def test_a_resumed_run_keeps_the_first_check(tmp_path):
    script = ranks(11., 2., 2., 2.)
    train(tmp_path, hook=Scripted(script, patience=4), max_epochs=1)
    assert 'has collapsed' not in log_of(tmp_path)
    train(
        tmp_path,
        hook=Scripted(ranks(2., 2., 2.), patience=4),
        max_epochs=2,
        resume=True)
    # It does not check again where the other one stopped.
    assert sorted(r['step'] for r in records(tmp_path)) == list(range(7))
    assert ('collapsed at iteration 4: student: the centred effective rank '
            'is 2, after 11 at the first check, for 4 checks'
            ) in log_of(tmp_path)


def test_other_clips_are_not_compared_with(tmp_path):
    hook = Scripted(ranks(11., 2., 2., 2.), patience=9)
    train(tmp_path, hook=hook, max_epochs=1)
    hook = Scripted(ranks(2., 2., 2., 2.), seed=1, patience=1)
    train(tmp_path, hook=hook, max_epochs=2, resume=True)
    # The first check of the other clips is at the resume.
    steps = sorted(r['step'] for r in records(tmp_path))
    assert steps == [0, 1, 2, 3, 3, 4, 5, 6]
    assert 'has collapsed' not in log_of(tmp_path)


def test_weights_of_another_run_start_anew(tmp_path):
    hook = Scripted(ranks(11., 2., 2., 2.), patience=9)
    train(tmp_path, hook=hook, max_epochs=1)
    weights = next(tmp_path.glob('*.pth'))
    hook = Scripted(ranks(2., 2., 2., 2.), patience=1)
    second = train(
        tmp_path, hook=hook, max_epochs=1, load_from=str(weights))
    assert second.message_hub.get_info('collapse_monitor')['rank'][
        'student'] == 2
    assert 'has collapsed' not in log_of(tmp_path)
    # Runs that start in the same second share their message hub.
    hook.before_run(second)
    assert second.message_hub.get_info('collapse_monitor') is None


def test_one_pass_of_the_teacher():
    model = build()
    persons = torch.randn(4, 6, 5, 3)
    target = model.target(persons)
    calls = []
    model.teacher.module.blocks[0].register_forward_hook(
        lambda *args: calls.append(1))
    view = model.target.inspect(persons)
    assert len(calls) == 1
    assert torch.equal(view.target, target)
    layers = model.teacher.module.hidden_states(persons)
    torch.testing.assert_close(view.raw, (layers[0] + layers[1]) / 2)
    torch.testing.assert_close(
        view.feature, model.teacher.module.encode(persons).mean(1))
    assert not any(part.requires_grad for part in view)


def test_a_target_without_a_teacher(tmp_path):
    model = build()
    model.target = Coordinates()
    model.head = MODELS.build(
        dict(type='RegressionHead', in_dims=8, out_dims=6))
    train(tmp_path, model)
    last = records(tmp_path)[-1]
    assert not any('teacher' in name for name in last)
    for name in ('std_mean', 'std_min', 'spread'):
        assert last[f'monitor/target_{name}'] == pytest.approx(
            last[f'monitor/target_raw_{name}'], rel=1e-5)


def test_mixed_precision(tmp_path):
    """The check is computed as the training is."""
    train(tmp_path / 'single')
    train(
        tmp_path / 'mixed',
        optim_wrapper=dict(
            type='AutocastOptimWrapper', optimizer=dict(type='SGD', lr=.1)))
    single, mixed = (records(tmp_path / x)[0] for x in ('single', 'mixed'))
    assert single['monitor/loss'] != mixed['monitor/loss']
    for name, value in single.items():
        assert mixed[name] == pytest.approx(value, rel=.05), name
    last = records(tmp_path / 'mixed')[-1]
    assert all(math.isfinite(value) for value in last.values())


def test_another_model(tmp_path):

    class Recognizer(nn.Linear):

        def train_step(self, data, optim_wrapper):
            raise AssertionError('trained')

    with pytest.raises(
            ValueError, match='MaskedSkeletonModel and the model is a '
            'Recognizer: remove it'):
        train(tmp_path, Recognizer(2, 2))


def test_a_head_without_an_error(tmp_path):
    model = build()
    model.head = nn.Linear(8, 8)
    with pytest.raises(ValueError, match=r'Linear has no token_error\('):
        train(tmp_path, model)


def test_clips_without_masks(tmp_path):
    with pytest.raises(ValueError, match='needs clips with masks'):
        train(tmp_path, data=Clips(masks=False))


def test_too_few_clips(tmp_path):
    with pytest.raises(ValueError, match='num_clips=13 of a training set of '
                       '12'):
        train(tmp_path, hook=CollapseMonitorHook(num_clips=13))
    data = Clips()
    data.clips.zero_()
    with pytest.raises(ValueError, match='the 12 clips .* hold fewer than 2'):
        train(tmp_path, data=data)


@pytest.mark.parametrize('settings, message', [
    (dict(interval=0), 'interval=0 is less than 1'),
    (dict(num_clips=1), 'num_clips=1 is less than 2'),
    (dict(patience=0), 'patience=0 is less than 1'),
    (dict(seed=-1), 'seed=-1 is less than 0'),
    (dict(rank_fraction=1), 'rank_fraction=1 is not at least 0'),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CollapseMonitorHook(**settings)
