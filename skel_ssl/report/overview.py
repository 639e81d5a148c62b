# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What was trained: the key figures, the settings, the machine."""
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from .html import Section, absent, code, join, listing, source, table, tag
from .run_files import RunFiles, log_times, read_environment

# Parts of a model, as they are called in words.
_PARTS = dict(
    backbone='encoder',
    neck='decoder',
    target='target',
    head='head',
    cls_head='classifier',
    mask_generator='mask, made by the model')
_TRAIN = 'python tools/train.py CONFIG --work-dir {}'


@dataclass(frozen=True)
class Weights:
    """What a checkpoint says of itself.

    Attributes:
        path (Path): The file.
        epoch (int, optional): Epochs that were done.
        iteration (int, optional): Iterations that were done.
        sizes (dict[str, int]): Numbers in each part of the model, buffers
            included.
        info (dict): The runner's own notes, such as those of hooks.
    """
    path: Path
    epoch: Optional[int]
    iteration: Optional[int]
    sizes: Dict[str, int]
    info: Mapping[str, Any]

    @property
    def when(self) -> str:
        """Such as ``'epoch 80'``."""
        if self.epoch:
            return f'epoch {self.epoch}'
        return f'iteration {self.iteration}' if self.iteration else ''


def read_weights(path: Path) -> Weights:
    """Read a checkpoint; no code that it brings along is run.

    Args:
        path (Path): The file.
    """
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    meta = loaded.get('meta', {})
    sizes: Dict[str, int] = {}
    for name, value in loaded.get('state_dict', loaded).items():
        part = name.split('.')[0]
        sizes[part] = sizes.get(part, 0) + value.numel()
    info = loaded.get('message_hub', {}).get('runtime_info', {})
    return Weights(path, meta.get('epoch'), meta.get('iter'), sizes, info)


def describe(part: Mapping[str, Any]) -> str:
    """A part of a config in a line: its type and its plain settings."""
    settings = ', '.join(
        f'{key}={value}' for key, value in part.items()
        if key != 'type' and not isinstance(value, (dict, list)))
    kind = getattr(part.get('type'), '__name__', part.get('type', ''))
    return f'{kind} ({settings})' if settings else str(kind)


def summarise(cfg: Config) -> Dict[str, str]:
    """The settings that matter most, those that the config has."""
    found = {}
    model = cfg.get('model') or {}
    if model:
        found['model'] = describe(model)
    for key, name in _PARTS.items():
        if model.get(key):
            found[name] = describe(model[key])
    loader = cfg.get('train_dataloader') or {}
    dataset = loader.get('dataset', {})
    while 'dataset' in dataset and 'pipeline' not in dataset:
        dataset = dataset['dataset']
    masks = [t for t in dataset.get('pipeline', ())
             if str(t['type']).endswith('Mask')]
    for mask in masks:
        found['mask'] = describe(mask)
    if 'ann_file' in dataset:
        found['training data'] = (f'{dataset["ann_file"]}, split '
                                  f'{dataset.get("split")}')
    if 'batch_size' in loader:
        found['batch size'] = f'{loader["batch_size"]} a process'
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('optimizer'):
        found['optimiser'] = describe(wrapper['optimizer'])
        found['precision and clipping'] = ', '.join(
            f'{k}={v}' for k, v in wrapper.items()
            if k in ('type', 'dtype', 'clip_grad', 'accumulative_counts'))
    schedule = cfg.get('param_scheduler') or []
    schedule = [schedule] if isinstance(schedule, dict) else schedule
    if schedule:
        found['schedule'] = '; '.join(map(describe, schedule))
    train = cfg.get('train_cfg') or {}
    for key in ('max_epochs', 'max_iters'):
        if train.get(key):
            found[key.replace('max_', '')] = str(train[key])
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None:
        found['seed'] = str(seed)
    return found


def config_section(path: Optional[Path], cfg: Optional[Config],
                   work_dir: Path) -> Section:
    """The config: what matters most, and all of it."""
    if path is None or cfg is None:
        return absent('config', 'Config', 'There is no config in the work '
                      'dir; training writes it there:',
                      command=_TRAIN.format(work_dir))
    whole = tag(
        'details', tag('summary', 'The whole config'),
        tag('div', tag('pre', code(path.read_text(encoding='utf-8'))),
            class_='scroll', tabindex=0))
    return Section('config', 'Config', join(
        listing(summarise(cfg)), whole, source('From ', code(path), '.')))


def environment_section(run: RunFiles) -> Section:
    """When the run was started, and on what."""
    logs = [(log.text, log.records) for log in run.logs
            if log.text is not None]
    if not logs:
        return absent('environment', 'Environment', 'There is no log for '
                      'people (*/*.log) in the work dir; training writes it:',
                      command=_TRAIN.format(run.work_dir))
    rows = []
    for path, records in logs:
        steps = [r['step'] for r in records if 'iter' in r]
        rows.append((path.stem, *(log_times(path) or ('', '')),
                     min(steps, default=''), max(steps, default='')))
    starts = table(('start', 'first line', 'last line', 'first step logged',
                    'last step logged'), rows)
    newest, _ = logs[-1]
    return Section('environment', 'Environment', join(
        starts, listing(read_environment(newest)),
        source('From ', code(newest), '.')), folded=True)


def weights_section(weights: Optional[Weights], work_dir: Path) -> Section:
    """The checkpoint: its file and how many numbers each part has."""
    if weights is None:
        return absent('weights', 'Weights', 'There is no checkpoint in the '
                      'work dir; training writes one:',
                      command=_TRAIN.format(work_dir))
    rows: List[tuple] = [(part, f'{size:,}')
                         for part, size in weights.sizes.items()]
    rows.append((tag('b', 'all'),
                 tag('b', f'{sum(weights.sizes.values()):,}')))
    size = weights.path.stat().st_size / 2**20
    return Section('weights', 'Weights', join(
        table(('part of the model', 'numbers, buffers included'), rows),
        source('From ', code(weights.path), f', {size:.1f} MiB, ',
               f'{weights.when}.')), folded=True)
