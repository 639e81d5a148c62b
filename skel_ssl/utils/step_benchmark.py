# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a step of pre-training costs, and where."""
import copy
import time
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Tuple

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skel_ssl.engine.hooks.compile_hook import compile_blocks
from skel_ssl.models.ops.ema import EMATeacher
from skel_ssl.models.ops.persons import present_persons
from skel_ssl.registry import MODELS, TRANSFORMS

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
# The parts of a model, and what each of them is called to do.
PARTS = (('student', 'backbone', 'encode'),
         ('student', 'backbone', 'encode_joints'),
         ('mask', 'mask_generator', 'forward'),
         ('target', 'target', 'forward'), ('decoder', 'neck', 'forward'),
         ('head', 'head', 'forward'), ('contrast', 'contrast', 'forward'))


class Stopwatch:
    """Adds up the time of named parts; what is inside of a part is its own.

    CPU seconds of the process on a CPU, which other processes do not change;
    wall seconds of finished work on a GPU.

    Args:
        device (torch.device): Where the work is done.

    Attributes:
        running (bool): False: parts are not told apart, and a GPU need not
            be waited for between them.
        seconds (dict[str, float]): Those of each part.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.running = True
        self.seconds: Dict[str, float] = defaultdict(float)
        self._running: List[List] = []

    def now(self) -> float:
        """The clock."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block under ``name``."""
        if not self.running:
            yield
            return
        began = self.now()
        self._running.append([0.])
        try:
            yield
        finally:
            whole = self.now() - began
            inside, = self._running.pop()
            self.seconds[name] += whole - inside
            if self._running:
                self._running[-1][0] += whole

    def watch(self, name: str, owner: nn.Module, method: str) -> None:
        """Count every call of a method under ``name``."""
        call = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        setattr(owner, method, timed)


def make_batch(cfg: Config,
               batch_size: int,
               absent: float,
               seed: int = 0) -> Dict[str, Any]:
    """A batch as the loader of a pre-training config gives it.

    Random walks: what a step costs does not depend on what moves. The masks
    are those of the config.

    Args:
        cfg (Config): Config of a pre-training.
        batch_size (int): Clips, B.
        absent (float): Share of the person slots that are empty; every clip
            keeps its first person.
        seed (int): Of clips and masks.

    Returns:
        dict: ``inputs``, B tensors ``(1, M, T, V, C)``, and
        ``data_samples``.

    Raises:
        ValueError: If so many slots cannot be empty.
    """
    steps = {t['type']: t for t in cfg.train_dataloader.dataset.pipeline}
    persons = steps['FormatGCNInput'].get('num_person', 2)
    empty = round(absent * batch_size * persons)
    if not 0 <= empty <= batch_size * (persons - 1):
        raise ValueError(
            f'--absent {absent}: {empty} of {batch_size * persons} person '
            f'slots cannot be empty, as each of {batch_size} clips keeps one')
    rng = np.random.default_rng(seed)
    shape = (batch_size, 1, persons, *_clip_shape(cfg, steps))
    clips = rng.normal(0, .02, shape).astype(np.float32).cumsum(3)
    clips[:, :, :, :] += rng.normal(0, .5, shape)[:, :, :, :1]
    for slot in range(empty):
        clips[slot % batch_size, :, persons - 1 - slot // batch_size] = 0
    kinds = list(steps)
    masks = [
        TRANSFORMS.build(steps[kind])
        for kind in kinds[kinds.index('FormatGCNInput') + 1:]
        if kind != 'PackActionInputs'
    ]
    state = np.random.get_state()
    np.random.seed(seed)
    samples = []
    for clip in clips:
        results = dict(keypoint=clip)
        for mask in masks:
            results = mask(results)
        sample = ActionDataSample()
        for name in ('mask', 'mask_rank'):
            if name in results:
                sample.set_field(results[name], name)
        samples.append(sample)
    np.random.set_state(state)
    return dict(
        inputs=[torch.from_numpy(clip) for clip in clips],
        data_samples=samples)


def _clip_shape(cfg: Config, steps: Dict[str, dict]) -> Tuple[int, int, int]:
    """Frames, joints and channels of a clip."""
    backbone = MODELS.build(cfg.model.backbone)
    frames = next(step['clip_len'] for step in steps.values()
                  if 'clip_len' in step)
    return frames, backbone.num_input_joints, backbone.in_channels


def plain_config(cfg: Config) -> Config:
    """The same method as one would write it at first.

    Attention materialises its scores, absent persons are computed like any
    other, the optimizer goes through its tensors one by one.
    """
    cfg = copy.deepcopy(cfg)
    for part in (cfg.model.backbone, cfg.model.neck):
        if part.type in ('SkeletonTransformer', 'TransformerDecoder',
                         'HyperbolicSkeletonTransformer',
                         'CrossAttentionDecoder'):
            part.attention = 'plain'
    keep_everybody(cfg.model)
    cfg.optim_wrapper.optimizer.update(fused=False, foreach=False)
    return cfg


def keep_everybody(model: dict) -> None:
    """Let a model's config keep absent persons, in place."""
    if model.get('data_preprocessor') is None:
        kind = 'PersonDataPreprocessor'
        model['data_preprocessor'] = dict(type=kind)
        if model['type'] == 'GraphSkeletonMAE':
            model['data_preprocessor'] = dict(
                type='FrameDataPreprocessor',
                num_coordinates=model['backbone'].get('in_channels', 2))
    model['data_preprocessor']['skip_empty_persons'] = False


class Trainee:
    """A model with its optimizer and teacher, one step at a time.

    Args:
        cfg (Config): Config of a pre-training.
        device (torch.device): Where it is trained.
        dtype (str): A key of ``DTYPES``; bfloat16 is autocast.
        loop_ema (bool): Move the teacher tensor by tensor.
        compiled (bool): Compile the blocks, for shapes that stay the same.
    """

    def __init__(self,
                 cfg: Config,
                 device: torch.device,
                 dtype: str = 'float32',
                 loop_ema: bool = False,
                 compiled: bool = False) -> None:
        self.device, self.dtype = device, DTYPES[dtype]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = MODELS.build(cfg.model)
            self.model.init_weights()
        self.model.to(device).train()
        if compiled:
            compile_blocks(self.model, dynamic=False)
        self.wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        self.watch = Stopwatch(device)
        self.move_teacher: Callable = (
            _lerp_in_a_loop if loop_ema else EMATeacher.update_parameters)
        for name, part, method in PARTS:
            owner: Any = getattr(self.model, part, None)
            if part == 'target' and self.model.teacher is not None:
                name = 'teacher'
            if hasattr(owner, method):
                self.watch.watch(name, owner, method)
        self.watch.watch('backward', self.wrapper, 'backward')
        self.watch.watch('optimizer', self.wrapper, 'step')
        self.watch.watch('optimizer', self.wrapper, 'zero_grad')

    def autocast(self) -> ContextManager:
        """Around the forward pass."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def loss(self, batch: Dict[str, Any]) -> Tensor:
        """The loss of a batch; the masks that a model makes are the same
        each time."""
        torch.manual_seed(0)
        with self.watch.part('data'):
            data = self.model.data_preprocessor(batch, True)
        with self.autocast():
            losses = self.model(**data, mode='loss')
        return self.model.parse_losses(losses)[0]

    def step(self, batch: Dict[str, Any]) -> float:
        """One training step; the seconds that it took."""
        began = self.watch.now()
        with self.watch.part('rest'):
            self.wrapper.update_params(self.loss(batch))
            if self.model.teacher is not None:
                with self.watch.part('ema'):
                    self.move_teacher(self.model.teacher, self.model.backbone,
                                      .9999)
        return self.watch.now() - began

    def gradients(self, batch: Dict[str, Any]) -> Dict[str, Tensor]:
        """The loss, as ``loss``, and the gradient of every parameter."""
        self.model.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        found = {
            name: param.grad.detach().clone()
            for name, param in self.model.named_parameters()
            if param.grad is not None
        }
        self.model.zero_grad()
        return dict(found, loss=loss.detach())


@torch.no_grad()
def _lerp_in_a_loop(teacher: EMATeacher, student: nn.Module,
                    decay: float) -> None:
    for one, other in zip(teacher.module.parameters(), student.parameters()):
        one.lerp_(other, 1 - decay)


def compare(one: Dict[str, Tensor],
            other: Dict[str, Tensor]) -> Dict[str, float]:
    """How far losses and gradients are apart.

    Args:
        one (dict): See :meth:`Trainee.gradients`.
        other (dict): The same of another model; the reference.

    Returns:
        dict: ``max_rel_loss_diff`` and ``max_rel_grad_diff``, the largest
        difference in a tensor relative to the largest value in it.
    """
    apart = {
        name: float((one[name] - value).abs().max() /
                    value.abs().max().clamp(min=1e-30))
        for name, value in other.items()
    }
    loss = apart.pop('loss')
    return dict(max_rel_loss_diff=loss, max_rel_grad_diff=max(apart.values()))


def count_persons(batch: Dict[str, Any]) -> int:
    """How many persons are in the clips of a batch."""
    return int(present_persons(torch.stack(batch['inputs'])).sum())


def count_flops(cfg: Config, batch: Dict[str, Any]) -> int:
    """Floating-point operations of a step's matrix products, forward and
    backward, for the persons that are there (1 multiply-add = 2).

    Counted for one clip: they grow with the number of persons.
    """
    cfg = plain_config(cfg)
    clip = make_batch(cfg, 1, 0.)
    trainee = Trainee(cfg, torch.device('cpu'))
    with FlopCounterMode(display=False) as counter:
        trainee.loss(clip).backward()
    return counter.get_total_flops() * count_persons(batch) // count_persons(
        clip)


def memory_in_use(device: torch.device, reset: bool = False) -> int:
    """Peak memory since the last reset, in bytes.

    Of PyTorch's allocator on a GPU, of the whole process on a CPU (Linux).

    Args:
        device (torch.device): Where the work is done.
        reset (bool): Begin anew, and give what is in use now.
    """
    if device.type == 'cuda':
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    if reset:
        Path('/proc/self/clear_refs').write_text('5')
    status = Path('/proc/self/status').read_text()
    peak = next(line for line in status.splitlines() if 'VmHWM' in line)
    return int(peak.split()[1]) * 1024
