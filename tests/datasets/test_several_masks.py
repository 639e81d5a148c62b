# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Several masks of a person, from a clip's pipeline and in person batches."""
import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from skel_ssl.datasets.person_batches.random_numbers import Draw
from skel_ssl.registry import MODELS, TRANSFORMS

MASKS = [
    dict(type='MotionAwareTubeMask', patch_len=3, tube_len=2),
    dict(type='MotionAwareMask', patch_len=3),
    dict(type='RandomMask', patch_len=3),
]


def build(cfg, **kwargs):
    init_default_scope('mmaction')
    return TRANSFORMS.build(dict(cfg, **kwargs))


@pytest.mark.parametrize('cfg', MASKS, ids=lambda cfg: cfg['type'])
def test_masks_of_a_clip(cfg):
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(2, 2, 12, 25, 3)).astype(np.float32)
    clip[:, 1] = 0
    transform = build(cfg, num_masks=3, return_rank=True)
    np.random.seed(1)
    made = transform(dict(keypoint=clip))
    assert made['mask'].shape == made['mask_rank'].shape == (2, 2, 3, 4, 25)
    rows = made['mask'].flatten(0, 2).flatten(1)
    assert len(set(rows.sum(1).tolist())) == 1
    assert len({tuple(row) for row in rows.tolist()}) == 12  # none is a copy

    sample = ActionDataSample()
    sample.set_field(made['mask'], 'mask')
    sample.set_field(made['mask_rank'], 'mask_rank')
    data = MODELS.build(dict(type='PersonDataPreprocessor'))(
        dict(inputs=[torch.from_numpy(clip)], data_samples=[sample]))
    assert data['inputs'].shape == (2, 12, 25, 3)
    assert torch.equal(data['mask'], made['mask'][:, 0].flatten(0, 1))
    assert torch.equal(data['rank'], made['mask_rank'][:, 0].flatten(0, 1))
    assert len(data['indices'].kept) == 6


@pytest.mark.parametrize('cfg', MASKS, ids=lambda cfg: cfg['type'])
def test_masks_of_a_batch_depend_on_the_person_alone(cfg):
    torch.manual_seed(0)
    persons = torch.randn(4, 12, 25, 3)
    seeds = torch.arange(4)
    transform = build(cfg, num_masks=2)

    def draw(chosen):
        numbers = Draw(seeds[chosen])
        made = transform.draw(persons[chosen],
                              lambda *shape: numbers.uniform('', *shape))
        return made['mask']

    every, two = draw([0, 1, 2, 3]), draw([3, 1])
    assert every.shape == (8, 4, 25)
    assert torch.equal(two, every[[6, 7, 2, 3]])
    assert not torch.equal(every[0], every[1])


def test_num_masks_out_of_range():
    with pytest.raises(ValueError, match='num_masks=0'):
        build(MASKS[0], num_masks=0)
