# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What the tests of person batches share."""
import pickle
from types import SimpleNamespace

import numpy as np
import torch

from skel_ssl.datasets import SeededIndex

ALIGN = dict(type='PosePreNormalize3D')
PACK = [
    dict(type='FormatGCNInput', num_person=2),
    dict(type='PackActionInputs', algorithm_keys=('mask', ))
]
CROP = dict(type='PoseTemporalCropResize', clip_len=12, min_frames=8)
AUGMENT = [
    dict(type='PoseRandomRotate', theta=.3),
    dict(type='PoseRandomScale', scale=.2),
    dict(type='PoseRandomShear', shear=.2),
    dict(type='PoseRandomFlip', prob=.5),
    dict(type='PoseGenSkeFeat', layout='ntu25', feats=['j'])
]
MASK = dict(type='MotionAwareMask', patch_len=3, mask_ratio=.8)
PIPELINE = [ALIGN, CROP, *AUGMENT, PACK[0], MASK, PACK[1]]


class FixedDraw:
    """Gives the numbers that it is given, whatever for."""

    def __init__(self, *numbers):
        self.numbers = torch.as_tensor(np.stack(numbers)).float()

    def uniform(self, name, *shape):
        return self.numbers.reshape(len(self.numbers), *shape)

    normal = uniform

    def within(self, name):
        return self

    def of_persons(self):
        return self


def feed(monkeypatch, numbers):
    """Let NumPy's global functions make their results of these numbers."""
    numbers = np.asarray(numbers, np.float64).ravel()
    used = SimpleNamespace(count=0)

    def take(*arrays, size=None):
        shape = np.broadcast_shapes(*map(np.shape, arrays))
        shape = shape if size is None else size
        start, used.count = used.count, used.count + int(np.prod(shape))
        return numbers[start:used.count].reshape(shape)

    def uniform(low=0., high=1., size=None):
        return low + (np.asarray(high) - low) * take(low, high, size=size)

    def randint(low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        found = np.floor(low + (np.asarray(high) - low) *
                         take(low, high, size=size)).astype(int)
        return found if found.ndim else int(found)

    def choice(count, size, replace):
        assert not replace
        return take(size=count).argsort(kind='stable')[:size]

    def normal(mean, sigma, size):
        return mean + sigma * take(size=size)

    for function in (uniform, randint, choice, normal):
        monkeypatch.setattr(np.random, function.__name__, function)
    monkeypatch.setattr(np.random, 'random_sample', uniform)
    return used


def walk(rng, persons, frames, joints=25):
    """Persons whose joints wander off a random pose."""
    steps = rng.normal(0, .05, (persons, frames, joints, 3))
    steps[:, 0] += rng.normal(0, .5, (persons, joints, 3))
    return steps.cumsum(1).astype(np.float32)


def write(path, clips, **arrays):
    """A pickle of clips 'c0', 'c1', ..., of the classes 0, 1, ...."""
    annotations = [
        dict(
            frame_dir=f'c{i}',
            label=i,
            total_frames=clip.shape[1],
            keypoint=clip,
            **{k: v[i] for k, v in arrays.items()})
        for i, clip in enumerate(clips)
    ]
    path.write_bytes(pickle.dumps(dict(split={}, annotations=annotations)))
    return str(path)


def clips_of(ann_file, pipeline=PIPELINE, **kwargs):
    """The settings of a data set of clips."""
    return dict(
        type='SkeletonDataset',
        ann_file=ann_file,
        pipeline=pipeline,
        **kwargs)


def seeded(*indices, seed=0):
    return [SeededIndex(i, 1000 * seed + i) for i in indices]


def assert_same(batch, other):
    """Two batches are equal bit by bit."""
    assert batch.keys() == other.keys()
    for key, value in batch.items():
        torch.testing.assert_close(
            value, other[key], rtol=0, atol=0, msg=key)
