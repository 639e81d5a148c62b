# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Batches against the recorded numbers of Skeleton2vec's and MAMP's code.

The numbers that these codes drew are put in; see tests/parity.
"""
import numpy as np
import torch

from skel_ssl.datasets import (
    PoseRandomRotate,
    PoseTemporalCropResize,
    PoseUniformSampleFrames,
)
from tests.conftest import shared_file
from tests.datasets.person_batches.persons import FixedDraw


def golden(group):
    path = shared_file('golden/pipeline_golden.npz')
    with np.load(path, allow_pickle=False) as arrays:
        return {
            key[len(group) + 1:]: arrays[key]
            for key in arrays.files if key.startswith(f'{group}/')
        }


def numbers_behind(inds, count, n=90):
    """Numbers that choose these frames."""
    numbers = np.full(n + 1, .5)
    if count < n:
        numbers[0] = (inds[0] + .5) / count
    elif count < 2 * n:
        steps = np.diff(inds, prepend=-1, append=count) - 1
        # Two in a row cannot be left out, see MMAction2's train clips.
        assert steps.max() == 1 and steps.sum() == count - n
        numbers = np.where(steps > 0, .1, .9)
    else:
        bounds = np.arange(n + 1) * count // n
        numbers[:n] = (inds - bounds[:-1] + .5) / np.diff(bounds)
    return numbers


def test_skeleton2vec():
    """One batch of persons of all four clips."""
    frames, starts, counts, expected, choices = [], [], [], [], []
    for name in ('one_short', 'one_mid', 'two_long', 'two_swapped'):
        z = golden(f's2v/{name}')
        inds = z['uniform_inds_seed200']
        for slot, person in enumerate(z['prenorm_spine0']):
            starts.append(sum(map(len, frames)))
            frames.append(person)
            counts.append(len(person))
            choices.append(numbers_behind(inds, len(person)))
            expected.append(z['final_keypoint'][0, slot])
    plan = PoseUniformSampleFrames(90).plan_frames(
        torch.tensor(counts), FixedDraw(*choices))
    made = plan.take(
        torch.from_numpy(np.concatenate(frames)), torch.tensor(starts))
    np.random.seed(100)
    angles = np.random.uniform(-.3, .3, 3)
    numbers = (angles / .3 + 1) / 2
    made = PoseRandomRotate(.3).on_batch(made,
                                         FixedDraw(*[numbers] * len(made)))
    np.testing.assert_allclose(made, np.stack(expected), rtol=0, atol=1e-5)


def test_mamp():
    """The recorded arrays hold every fourth frame."""
    for name, (length, start) in dict(
            a=(57, 0), b=(74, 21), c=(217, 21)).items():
        z = golden(f'mamp/{name}')
        valid = int(z['valid'])
        persons = z['in'].astype(np.float32).transpose(3, 1, 2, 0)
        frames = torch.from_numpy(
            np.concatenate(list(persons[:, :valid])))
        starts = torch.arange(len(persons)) * valid
        counts = torch.full((len(persons), ), valid)
        share = (0.72556128 - .5) / .5
        draw = FixedDraw(*[[share, (start + .5) / (valid - length + 1)]] *
                         len(persons))
        for shares, key in (((.5, 1.), 'random_seed300'), ((.95, ),
                                                           'centre95')):
            plan = PoseTemporalCropResize(120, shares).plan_frames(
                counts, draw)
            made = plan.take(frames, starts)[:, ::4]
            np.testing.assert_allclose(
                made.permute(3, 1, 2, 0), z[key], rtol=0, atol=2e-5)
