# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Watches whether the representation collapses while it is trained."""
import time
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from skel_ssl.datasets.seeded_sampler import (
    SeededIndex,
    isolated_random,
    sample_seed,
)
from skel_ssl.evaluation.collapse import (
    MIN_SPREAD,
    ChannelMoments,
    collapsed,
    constant_predictor_loss,
    diagnose_features,
)
from skel_ssl.models.selfsup import MaskedSkeletonModel
from skel_ssl.registry import HOOKS

from .unnoticed import unnoticed

_STATE = 'collapse_monitor'
_ADVICE = ('Lower the learning rate or lengthen its warm-up, let the teacher '
           'move more slowly (EMATeacherHook, start_decay nearer to 1) and '
           'keep its targets normalised (TeacherTarget); if this is the '
           'first check, look at the clips and the initialisation.')
# A loss above this share of the constant predictor's has learned nothing.
_NOTHING_LEARNED = 0.99


class CollapsedError(RuntimeError):
    """Pre-training has collapsed and ``abort`` is set."""


@HOOKS.register_module()
class CollapseMonitorHook(Hook):
    """Check a fixed set of clips for collapse during pre-training.

    Before the first step, every ``interval`` iterations and at the end of
    the training, the model looks at the same clips with the same masks, in
    eval mode. The figures go to the log and, as ``monitor/...``, to the
    runner's visualizer; the training is the same with and without the hook.

    - ``student_*`` and ``teacher_*``: rank, cosine and spread of the
      features, the mean over the tokens of an unmasked person, see
      :func:`diagnose_features`.
    - ``target_raw_std_mean``, ``_min`` and ``target_raw_spread``: the
      targets before their normalisation, over all tokens;
      ``target_std_mean``, ``_min`` and ``target_spread``: after it.
    - ``target_var_hidden``, ``target_var_visible``: mean variance of the
      targets' channels at hidden and at visible tokens.
    - ``pred_std_mean`` and ``target_std_hidden``: of predictions and
      targets at hidden tokens.
    - ``loss``: mean of the head's ``token_error`` over the hidden tokens;
      ``const_loss``: that of the mean target of a batch;
      ``loss_ratio``: the one over the other.
    - ``time_share``: the share of the time since the last check that this
      check took.

    It warns if the features are constant or lie on a line
    (:func:`collapsed`), if the targets are constant, if the centred rank
    has lost most of its first value, and if the loss is no better than that
    of a constant.

    A check of Skeleton2vec costs about as much as 8 training steps, so the
    default interval stays below 1 % of the training.

    Args:
        interval (int): Iterations between two checks.
        num_clips (int, optional): How many clips, evenly spaced over the
            training set and kept in host memory. Defaults to 4 times the
            width of the backbone, or all clips if there are fewer.
        patience (int): After how many checks in a row a low rank, or a loss
            like that of a constant, is warned of.
        rank_fraction (float): The centred effective rank is low if it
            exceeds 1, the lowest there is, by less than this fraction of
            what it did at the first check. 0 = never.
        abort (bool): Whether to stop the training with
            :class:`CollapsedError` when it has collapsed. A loss like that
            of a constant does not stop it.
        seed (int): Seed of the clips' augmentation and masks, 0 or more, in
            the data pipeline and in the model.

    Raises:
        ValueError: If an argument is out of range, the model is no
            ``MaskedSkeletonModel`` or its head has no ``token_error``, the
            clips have no masks, or there are fewer than two of them.
        CollapsedError: See ``abort``.
    """
    # After the teacher has moved, before a checkpoint is saved.
    priority = 'LOW'

    def __init__(self,
                 interval: int = 1000,
                 num_clips: Optional[int] = None,
                 patience: int = 3,
                 rank_fraction: float = 0.2,
                 abort: bool = False,
                 seed: int = 0) -> None:
        given = dict(
            interval=(interval, 1),
            num_clips=(2 if num_clips is None else num_clips, 2),
            patience=(patience, 1),
            seed=(seed, 0))
        for name, (value, least) in given.items():
            if value < least:
                raise ValueError(f'{name}={value} is less than {least}')
        if not 0 <= rank_fraction < 1:
            raise ValueError(f'rank_fraction={rank_fraction} is not at least '
                             '0 and below 1')
        self.interval = interval
        self.num_clips = num_clips
        self.patience = patience
        self.rank_fraction = rank_fraction
        self.abort = abort
        self.seed = seed

    def before_run(self, runner: Runner) -> None:
        # Comes before a checkpoint is read: what is there afterwards is of
        # the resumed run and not of another one in this process.
        runner.message_hub.pop_info(_STATE)

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        self._model = model.module if is_model_wrapper(model) else model
        self._check_model()
        self._read_clips(runner.train_dataloader)
        self._checked_at: Optional[int] = None
        self._ended = time.monotonic()
        state = runner.message_hub.runtime_info.get(_STATE)
        if state is None or state['probe'] != self._probe:
            self._check(runner, runner.iter)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._check(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        if self._checked_at != runner.iter:
            self._check(runner, runner.iter)

    def _check_model(self) -> None:
        model = self._model
        if not isinstance(model, MaskedSkeletonModel):
            raise ValueError(
                'CollapseMonitorHook watches the pre-training of a '
                'MaskedSkeletonModel and the model is a '
                f'{type(model).__name__}: remove it from custom_hooks')
        if not hasattr(model.head, 'token_error'):
            raise ValueError(
                f'{type(model.head).__name__} has no token_error(pred, '
                'target) for CollapseMonitorHook to measure: add it, or '
                'remove the hook from custom_hooks')

    def _read_clips(self, loader: DataLoader) -> None:
        """Put the clips into host memory, in batches of the loader's size."""
        dataset: Any = loader.dataset
        sampler: Any = loader.batch_sampler
        total = len(dataset)
        wanted = self.num_clips
        if wanted is None:
            wanted = min(total, 4 * self._model.backbone.embed_dims)
        if not 2 <= wanted <= total:
            raise ValueError(
                f'CollapseMonitorHook cannot take num_clips={wanted} of a '
                f'training set of {total}: it needs 2 or more, and no clip '
                'twice')
        clips = []
        for i in range(wanted):
            index = i * total // wanted
            seed = sample_seed(self.seed, 0, index)
            # The block is for datasets that do not heed the index's seed.
            with isolated_random(seed):
                clips.append(dataset[SeededIndex(index, seed)])
        parts = -(-wanted // sampler.batch_size)
        with isolated_random():
            # Each batch from all over the set, so that its mean target is
            # that of the set, also where clips are sorted by class.
            self._batches = [
                loader.collate_fn(clips[i::parts]) for i in range(parts)
            ]
        batch = self._batches[0]
        masked = batch.get('data_samples', [batch])  # or a finished batch
        if not self._model.makes_masks and any(
                'mask' not in part for part in masked):
            raise ValueError(
                'CollapseMonitorHook needs clips with masks: put a mask '
                "transform before PackActionInputs and 'mask' into its "
                'algorithm_keys')
        # A first check of other clips is nothing to compare with.
        self._probe = [wanted, total, self.seed]

    def _check(self, runner: Runner, step: int) -> None:
        """Measure, report, and judge."""
        cuda = next(self._model.parameters()).is_cuda
        if cuda:
            # The steps before are not to be counted as the check's.
            torch.cuda.synchronize()
        began = time.monotonic()
        precision = runner.optim_wrapper.optim_context(self._model)
        with unnoticed(self._model, self.seed), precision:
            figures = self._measure()
        # All ranks measure the same; rank 0's rounding decides for all.
        shared = [figures]
        broadcast_object_list(shared)
        figures = shared[0]
        ended = time.monotonic()
        if step:
            figures['time_share'] = (ended - began) / (ended - self._ended)
        self._ended = ended
        self._checked_at = step
        runner.logger.info(_line(step, figures))
        scalars = {f'monitor/{k}': v for k, v in figures.items()}
        runner.visualizer.add_scalars(scalars, step=step)
        self._judge(runner, step, figures)

    def _measure(self) -> Dict[str, float]:
        model = self._model
        raw, hidden, visible, pred = (ChannelMoments() for _ in range(4))
        features: Dict[str, List[torch.Tensor]] = dict(student=[])
        losses, const_losses = [], []
        for batch in self._batches:
            data = model.data_preprocessor(batch)
            persons = data['inputs']
            if not len(persons):
                continue
            view = model.inspect(persons, data.get('mask'),
                                 data.get('indices'), data.get('rank'))
            raw.update(view.untreated)
            visible.update(view.visible)
            hidden.update(view.hidden)
            pred.update(view.pred)
            for name, feature in view.features.items():
                features.setdefault(name, []).append(feature)
            losses.append(model.head.token_error(view.pred, view.hidden))
            constant = constant_predictor_loss(view.hidden,
                                               model.head.token_error)
            const_losses.append(constant.expand_as(losses[-1]))
        if sum(map(len, features['student'])) < 2:
            raise ValueError(
                f'the {self._probe[0]} clips that CollapseMonitorHook took '
                'hold fewer than 2 persons: give it more num_clips')
        figures = {}
        for name, parts in features.items():
            found = diagnose_features(torch.cat(parts).cpu())
            figures.update({f'{name}_{k}': v for k, v in found.items()})
        target = hidden.merged(visible)
        loss = float(torch.cat(losses).double().mean())
        const_loss = float(torch.cat(const_losses).double().mean())
        return dict(
            figures,
            target_raw_std_mean=float(raw.std.mean()),
            target_raw_std_min=float(raw.std.min()),
            target_raw_spread=raw.spread,
            target_std_mean=float(target.std.mean()),
            target_std_min=float(target.std.min()),
            target_spread=target.spread,
            target_var_hidden=float(hidden.var.mean()),
            target_var_visible=float(visible.var.mean()),
            target_std_hidden=float(hidden.std.mean()),
            pred_std_mean=float(pred.std.mean()),
            loss=loss,
            const_loss=const_loss,
            loss_ratio=loss / const_loss if const_loss else float('inf'))

    def _judge(self, runner: Runner, step: int,
               figures: Dict[str, float]) -> None:
        """Warn or stop, and note what the next check needs."""
        parts = {
            name: _part(figures, name)
            for name in ('student', 'teacher')
            if f'{name}_rank' in figures
        }
        state = runner.message_hub.runtime_info.get(_STATE)
        if state is None or state['probe'] != self._probe:
            first = {k: part['rank_centred'] for k, part in parts.items()}
            state = dict(probe=self._probe, rank=first, low=0, stuck=0)
        low = {
            name: part['rank_centred']
            for name, part in parts.items() if part['rank_centred'] -
            1 < self.rank_fraction * (state['rank'][name] - 1)
        }
        stuck = step > 0 and figures['loss_ratio'] > _NOTHING_LEARNED
        state = dict(
            state,
            low=state['low'] + 1 if low else 0,
            stuck=state['stuck'] + 1 if stuck else 0)
        runner.message_hub.update_info(_STATE, state)

        faults = [
            f'{name}: {reason}'
            for name, reason in ((name, collapsed(part))
                                 for name, part in parts.items()) if reason
        ]
        for key, name in (('target_raw_spread', 'targets before '
                           'normalisation'), ('target_spread', 'targets')):
            if figures[key] < MIN_SPREAD:
                faults.append(f'the {name} are constant: they vary by '
                              f'{figures[key]:.2g} of their size')
        if state['low'] >= self.patience:
            faults += [
                f'{name}: the centred effective rank is {rank:.3g}, after '
                f'{state["rank"][name]:.3g} at the first check, for '
                f'{state["low"]} checks' for name, rank in low.items()
            ]
        if faults:
            text = (f'pre-training has collapsed at iteration {step}: '
                    f'{"; ".join(faults)}. {_ADVICE}')
            if self.abort:
                raise CollapsedError(
                    f'{text} Checkpoints so far are in {runner.work_dir}; '
                    'CollapseMonitorHook(abort=False) would go on.')
            runner.logger.warning(text)
        if state['stuck'] >= self.patience:
            runner.logger.warning(
                f'nothing has been learned at iteration {step}: for '
                f'{state["stuck"]} checks the loss '
                f'({figures["loss"]:.4g}) has been no better than that of '
                f'predicting the mean target ({figures["const_loss"]:.4g}). '
                'Raise or lower the learning rate, and check that the masks '
                'leave enough to see.')


def _part(figures: Dict[str, float], name: str) -> Dict[str, float]:
    prefix = f'{name}_'
    return {
        key[len(prefix):]: value
        for key, value in figures.items() if key.startswith(prefix)
    }


def _line(step: int, figures: Dict[str, float]) -> str:
    """The log line of a check."""
    texts = []
    for name in ('student', 'teacher'):
        part = _part(figures, name)
        if part:
            texts.append('{}: rank {rank:.1f} (centred {rank_centred:.1f}), '
                         'cosine {cosine:.3f}, spread {spread:.2g}'.format(
                             name, **part))
    texts.append('target std: raw {target_raw_std_mean:.3g} (min '
                 '{target_raw_std_min:.3g}), normalised '
                 '{target_std_mean:.3g}, predicted {pred_std_mean:.3g}'.format(
                     **figures))
    texts.append(
        'loss {loss:.4g}, {loss_ratio:.3f} of what a constant has'.format(
            **figures))
    if 'time_share' in figures:
        texts.append('{:.2%} of the time'.format(figures['time_share']))
    return f'collapse monitor, iteration {step}: ' + '; '.join(texts)
