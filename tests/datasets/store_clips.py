# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of the ragged store share: clips, stores, comparisons."""
import copy
import pickle
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from skel_ssl.datasets import (
    SeededSampler,
    load_annotations,
    write_store,
)
from skel_ssl.registry import DATASETS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
AS_XSUB = dict(align_spine=False, align_shoulder=False)


def make_clip(name, kind='two', dtype=np.float32, label=0, joints=25):
    """One or two persons, of whom one can be absent, a copy or come late."""
    rng = np.random.default_rng(ord(name[-1]))
    frames = int(rng.integers(20, 60))
    keypoint = rng.normal(size=(1 if kind == 'one' else 2, frames, joints, 3))
    if kind == 'absent':
        keypoint[1] = 0
    if kind == 'copy':
        keypoint[1] = keypoint[0]
    if kind == 'late':  # the second one is seen more often
        keypoint[0, :5] = 0
        keypoint[1, 10] = 0
    return dict(
        frame_dir=name,
        label=label,
        total_frames=frames,
        keypoint=keypoint.astype(dtype),
        camera=3)


KINDS = ('one', 'two', 'absent', 'copy', 'late')


def make_clips(count=10, **kwargs):
    return [make_clip(f'clip {chr(97 + i)}', KINDS[i % 5], label=i % 2,
                      **kwargs) for i in range(count)]


def both(folder, clips, normalise=(), dtype=None, **split):
    """A pickle and the store made of it."""
    split = split or dict(xsub_train=[x['frame_dir'] for x in clips[:-3]],
                          xsub_val=[x['frame_dir'] for x in clips[-3:]])
    pkl, store = folder / 'clips.pkl', folder / 'clips.store'
    pkl.write_bytes(
        pickle.dumps(dict(split=split, annotations=clips, classes=['x'])))
    data = load_annotations(pkl)
    write_store(store, data.pop('annotations'), normalise=normalise,
                dtype=dtype, **data)
    return str(pkl), str(store)


def same_bits(one, other):
    """Compare samples, the sign of zeros and all dtypes included."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same_bits(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for x, y in zip(one, other):
            same_bits(x, y)
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, torch.Tensor):
        same_bits(one.numpy(), other.numpy())
    elif hasattr(one, 'to_dict'):
        same_bits(one.to_dict(), other.to_dict())
        same_bits(one.metainfo, other.metainfo)
    else:
        assert one == other


def batches(cfg, ann_file, workers=0, epochs=1):
    cfg = copy.deepcopy(dict(cfg, ann_file=ann_file))
    init_default_scope('mmaction')
    dataset = DATASETS.build(cfg)
    sampler = SeededSampler(dataset, shuffle=True, seed=7)
    made = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        made += DataLoader(
            dataset, 16, sampler=sampler, num_workers=workers,
            collate_fn=pseudo_collate)
    return made


def dataset_cfg(name, part, stock=False, **changes):
    """A config's dataset; ``stock``: frames are sampled by MMAction2's own
    transform."""
    cfg = Config.fromfile(CONFIGS / 'datasets' / f'{name}.py')
    dataset = cfg[f'{part}_dataloader'].dataset
    dataset.update(changes)
    for transform in dataset.pipeline if stock else ():
        if transform['type'] == 'PoseUniformSampleFrames':
            transform['type'] = 'UniformSampleFrames'
    return dataset.to_dict()
