# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The teacher moves after real optimizer steps, on its schedule."""
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from skel_ssl.engine import EMATeacherHook
from skel_ssl.models.ops.ema import EMATeacher

NUM_BATCHES = 6
ROOT = Path(__file__).resolve().parents[2]


class Target(nn.Module):
    """The place of a method's target generator."""

    def __init__(self, teacher=None):
        super().__init__()
        self.teacher = teacher


class Student(BaseModel):
    """A line and, if wanted, its teacher."""

    def __init__(self, with_teacher=True):
        super().__init__()
        self.backbone = nn.Linear(2, 1)
        self.target = Target(
            EMATeacher(self.backbone) if with_teacher else None)

    @property
    def teacher(self):
        return self.target.teacher

    def init_weights(self):
        """After the teacher was made, as in real models."""
        for param in self.backbone.parameters():
            nn.init.constant_(param, 3.)

    def forward(self, points, mode):
        return dict(loss=self.backbone(points).square().mean())


def flat(module):
    with torch.no_grad():
        return torch.cat([p.flatten() for p in module.parameters()]).cpu()


class Spy(Hook):
    """Notes student and teacher after every iteration."""
    priority = 'LOWEST'

    def before_train(self, runner):
        self.students, self.teachers = [], []
        self.note(runner)

    def after_train_iter(self, runner, *args, **kwargs):
        self.note(runner)

    def note(self, runner):
        self.students.append(flat(runner.model.backbone))
        self.teachers.append(flat(runner.model.teacher))


def train(work_dir,
          model=None,
          max_epochs=2,
          num_batches=NUM_BATCHES,
          optim_wrapper=None,
          accumulative_counts=1,
          hook=None,
          **kwargs):
    """Train a few iterations; returns the runner and what the spy noted."""
    spy = Spy()
    hook = hook or dict(start_decay=.5, end_decay=.9, anneal_epochs=4)
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(num_batches, 2, generator=generator)
    runner = Runner(
        model or Student(),
        str(work_dir),
        train_dataloader=DataLoader([dict(points=p) for p in points]),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=optim_wrapper or dict(
            optimizer=dict(type='SGD', lr=.1),
            accumulative_counts=accumulative_counts),
        custom_hooks=[EMATeacherHook(**hook), spy],
        default_scope='mmaction',
        experiment_name=f'{work_dir}{max_epochs}',
        **kwargs)
    runner.train()
    return runner, spy


def logged_decays(runner):
    values, _ = runner.message_hub.get_scalar('train/ema_decay').data
    return values.tolist()


def test_the_teacher_starts_as_the_student(tmp_path):
    """As initialised, which is after the teacher was built."""
    runner, spy = train(tmp_path, max_epochs=1)
    assert spy.teachers[0].tolist() == [3.] * 3
    assert torch.equal(spy.teachers[0], spy.students[0])
    assert not any(p.requires_grad for p in runner.model.teacher.parameters())


def test_the_teacher_starts_as_the_weights_that_were_loaded(tmp_path):
    weights = Student(with_teacher=False).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'student.pth')
    _, spy = train(
        tmp_path, max_epochs=1, load_from=str(tmp_path / 'student.pth'))
    assert torch.equal(spy.students[0][:2], weights['backbone.weight'][0])
    assert torch.equal(spy.teachers[0], spy.students[0])


@pytest.mark.parametrize('steps', [188_400, None])
def test_a_teacher_that_was_loaded_stays_and_begins_a_schedule(
        tmp_path, steps):
    """Converted files have a teacher and no count of its updates."""
    weights = Student().state_dict()
    for name, value in weights.items():
        if name.startswith('target.teacher.module'):
            weights[name] = torch.full_like(value, 7)
    weights.pop('target.teacher.steps')
    if steps is not None:
        weights['target.teacher.steps'] = torch.tensor(steps)
    torch.save(dict(state_dict=weights), tmp_path / 'whole.pth')
    runner, spy = train(
        tmp_path, max_epochs=1, load_from=str(tmp_path / 'whole.pth'))
    assert spy.teachers[0].tolist() == [7.] * 3
    assert logged_decays(runner)[0] == .5
    assert runner.model.teacher.num_updates == NUM_BATCHES


def test_every_update_by_hand(tmp_path):
    runner, spy = train(tmp_path, max_epochs=5)
    teacher = spy.teachers[0]
    decays = []
    for i in range(5 * NUM_BATCHES):
        share = min(i / (4 * NUM_BATCHES), 1)  # 4 epochs of annealing
        decays.append(.5 + .4 * share)
        teacher = decays[-1] * teacher + (1 - decays[-1]) * spy.students[i + 1]
        torch.testing.assert_close(spy.teachers[i + 1], teacher)
        assert not torch.equal(spy.students[i + 1], spy.students[i])
    assert logged_decays(runner) == pytest.approx(decays)
    assert runner.model.teacher.num_updates == 5 * NUM_BATCHES
    assert runner.model.teacher.steps == 5 * NUM_BATCHES


def test_a_decay_of_1_freezes_the_teacher(tmp_path):
    hook = dict(start_decay=.5, end_decay=1., anneal_steps=3)
    _, spy = train(tmp_path, hook=hook)
    assert not torch.equal(spy.teachers[3], spy.teachers[2])
    for teacher in spy.teachers[4:]:
        assert torch.equal(teacher, spy.teachers[3])


def test_accumulated_gradients_are_one_update(tmp_path):
    runner, spy = train(tmp_path, accumulative_counts=2)
    teacher = spy.teachers[0]
    decays = []
    for i in range(2 * NUM_BATCHES):
        if i % 2:
            # An epoch has half as many updates as iterations.
            update = i // 2
            decays.append(.5 + .4 * update / (4 * NUM_BATCHES / 2))
            teacher = torch.lerp(spy.students[i + 1], teacher, decays[-1])
        torch.testing.assert_close(spy.teachers[i + 1], teacher)
    assert logged_decays(runner) == pytest.approx(decays)
    assert runner.model.teacher.num_updates == NUM_BATCHES


class SkippingOptimWrapper(OptimWrapper):
    """Drops every third step, as a gradient scaler does on overflow."""
    calls = 0

    def step(self, **kwargs):
        self.calls += 1
        if self.calls % 3:
            super().step(**kwargs)


def test_a_skipped_step_is_no_update(tmp_path):
    model = Student()
    wrapper = SkippingOptimWrapper(
        torch.optim.SGD(model.backbone.parameters(), lr=.1))
    runner, spy = train(tmp_path, model, optim_wrapper=wrapper)
    for i in range(2 * NUM_BATCHES):
        skipped = i % 3 == 2
        for noted in (spy.students, spy.teachers):
            assert torch.equal(noted[i + 1], noted[i]) == skipped
    assert runner.model.teacher.num_updates == 8
    decays = [.5 + .4 * i / (4 * NUM_BATCHES) for i in range(8)]
    assert logged_decays(runner) == pytest.approx(decays)


class FusedOptimWrapper(OptimWrapper):
    """Has a scaler whose skipped steps are the kernel's own affair."""
    loss_scaler = SimpleNamespace(is_enabled=lambda: True)


def test_a_fused_optimizer_behind_a_scaler(tmp_path):
    model = Student()
    wrapper = FusedOptimWrapper(torch.optim.Adam(
        model.backbone.parameters(), fused=True))
    with pytest.raises(ValueError, match='a fused optimizer hides the steps'):
        train(tmp_path, model, optim_wrapper=wrapper)


def test_a_resumed_run_continues_the_schedule(tmp_path):
    straight, expected = train(tmp_path / 'straight', max_epochs=4)
    train(tmp_path / 'resumed', max_epochs=2)
    resumed, spy = train(tmp_path / 'resumed', max_epochs=4, resume=True)
    assert resumed.model.teacher.num_updates == 4 * NUM_BATCHES
    assert logged_decays(resumed) == pytest.approx(logged_decays(straight))
    # The spy starts at the resume, with what epoch 2 had ended with.
    assert len(spy.teachers) == 2 * NUM_BATCHES + 1
    assert not torch.equal(spy.teachers[0], spy.students[0])
    for teacher, wanted in zip(spy.teachers,
                               expected.teachers[2 * NUM_BATCHES:]):
        torch.testing.assert_close(teacher, wanted)


def test_nothing_is_left_behind(tmp_path):
    """Steps after the training do not reach the hook."""
    runner, _ = train(tmp_path, max_epochs=1)
    hook, = (h for h in runner.hooks if isinstance(h, EMATeacherHook))
    runner.optim_wrapper.optimizer.step()
    assert not hook._stepped


def test_a_compilation_before_does_not_stop_the_teacher(tmp_path):
    """In torch 2.1 it leaves the hooks of new optimizers uncalled."""
    code = f'''
        import torch
        torch.compile(torch.nn.Linear(1, 1), backend='eager')(torch.ones(1))
        from pathlib import Path
        from tests.engine.test_ema_teacher_hook import NUM_BATCHES, train
        runner, _ = train(Path({str(tmp_path)!r}), max_epochs=1)
        assert runner.model.teacher.num_updates == NUM_BATCHES
    '''
    subprocess.run([sys.executable, '-c', textwrap.dedent(code)], cwd=ROOT,
                   check=True)


def test_a_target_without_a_teacher(tmp_path):
    model = Student(with_teacher=False)
    with pytest.raises(ValueError, match='Target has no teacher .* remove'):
        train(tmp_path, model)


@pytest.mark.parametrize('settings, message', [
    (dict(start_decay=1.1, anneal_epochs=1), 'start_decay=1.1 is not between'),
    (dict(end_decay=-.1, anneal_epochs=1), 'end_decay=-0.1 is not between'),
    (dict(), 'either anneal_epochs or anneal_steps'),
    (dict(anneal_epochs=1, anneal_steps=9), 'either anneal_epochs or'),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        EMATeacherHook(**settings)
